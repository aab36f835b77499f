//! `git_file`: the files at a ref.

use engine::{Column, Index, Rows, Table, Type, Value as Cell};

use crate::json::Reason;

/// Files at refs.
pub static GIT_FILE: Table = Table {
    key: &["repository", "ref", "path"],
    time: "ingested_at",
    indexes: &[Index::BTree("path"), Index::BTree("blob")],
    ..Table::new(
        "git_file",
        "The files of a repository at a ref, as of the commit in `git_ref`. A file that is gone has no row.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the row.").required(),
            Column::new("repository", Type::Text, "The repository.").required(),
            Column::new("ref", Type::Text, "Branch, tag or commit.").required(),
            Column::new("path", Type::Text, "Path within the repository.").required(),
            Column::new("blob", Type::Text, "Id of its content; of a submodule, its commit.").required(),
            Column::new("size_bytes", Type::Int, "Size of its content; null for a submodule.").unit("bytes"),
            Column::new(
                "mode",
                Type::Name,
                "`100644`, `100755` (executable), `120000` (link) or `160000` (submodule).",
            )
            .required(),
            Column::new("language", Type::Name, "Programming or markup language, by its name."),
            Column::new("is_binary", Type::Bool, "Whether its content is no text."),
            Column::new("last_commit", Type::Text, "Commit that changed it last."),
            Column::new("last_commit_at", Type::Time, "When that commit was made."),
            Column::new("owners", Type::Json, "Owners by CODEOWNERS, a list."),
        ],
    )
};

/// Languages by the ends of files' names.
const LANGUAGES: &[(&str, &str)] = &[
    ("rs", "Rust"),
    ("go", "Go"),
    ("py", "Python"),
    ("js", "JavaScript"),
    ("mjs", "JavaScript"),
    ("cjs", "JavaScript"),
    ("jsx", "JavaScript"),
    ("ts", "TypeScript"),
    ("tsx", "TypeScript"),
    ("java", "Java"),
    ("kt", "Kotlin"),
    ("kts", "Kotlin"),
    ("scala", "Scala"),
    ("cs", "C#"),
    ("fs", "F#"),
    ("vb", "Visual Basic"),
    ("c", "C"),
    ("h", "C"),
    ("cpp", "C++"),
    ("cc", "C++"),
    ("cxx", "C++"),
    ("hpp", "C++"),
    ("m", "Objective-C"),
    ("swift", "Swift"),
    ("rb", "Ruby"),
    ("php", "PHP"),
    ("pl", "Perl"),
    ("lua", "Lua"),
    ("r", "R"),
    ("jl", "Julia"),
    ("dart", "Dart"),
    ("ex", "Elixir"),
    ("exs", "Elixir"),
    ("erl", "Erlang"),
    ("hs", "Haskell"),
    ("ml", "OCaml"),
    ("clj", "Clojure"),
    ("groovy", "Groovy"),
    ("gradle", "Groovy"),
    ("sh", "Shell"),
    ("bash", "Shell"),
    ("zsh", "Shell"),
    ("ps1", "PowerShell"),
    ("bat", "Batchfile"),
    ("sql", "SQL"),
    ("tf", "HCL"),
    ("hcl", "HCL"),
    ("bicep", "Bicep"),
    ("rego", "Rego"),
    ("proto", "Protocol Buffers"),
    ("graphql", "GraphQL"),
    ("html", "HTML"),
    ("htm", "HTML"),
    ("css", "CSS"),
    ("scss", "SCSS"),
    ("less", "Less"),
    ("vue", "Vue"),
    ("svelte", "Svelte"),
    ("md", "Markdown"),
    ("adoc", "AsciiDoc"),
    ("rst", "reStructuredText"),
    ("json", "JSON"),
    ("yaml", "YAML"),
    ("yml", "YAML"),
    ("toml", "TOML"),
    ("xml", "XML"),
    ("csproj", "XML"),
    ("ini", "INI"),
    ("tex", "TeX"),
    ("ipynb", "Jupyter Notebook"),
    ("zig", "Zig"),
    ("nix", "Nix"),
];
/// Languages by whole names.
const NAMED: &[(&str, &str)] = &[
    ("dockerfile", "Dockerfile"),
    ("containerfile", "Dockerfile"),
    ("makefile", "Makefile"),
    ("cmakelists.txt", "CMake"),
    ("jenkinsfile", "Groovy"),
    ("go.mod", "Go module"),
    ("gemfile", "Ruby"),
    ("rakefile", "Ruby"),
    ("justfile", "Just"),
];

/// The language of a file by its name.
pub fn language(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let named = NAMED
        .iter()
        .find(|(known, _)| name == *known || name.strip_prefix(known).is_some_and(|rest| rest.starts_with('.')));
    let by_end = || name.rsplit_once('.').and_then(|(_, end)| LANGUAGES.iter().find(|(known, _)| *known == end));
    named.or_else(by_end).map(|(_, language)| *language)
}

/// One file.
#[derive(Debug, Clone, Default)]
pub struct File {
    /// Its path.
    pub path: String,
    /// Id of its content.
    pub blob: String,
    /// Its mode.
    pub mode: i32,
    /// Its size.
    pub bytes: Option<u64>,
    /// Whether it is no text.
    pub is_binary: Option<bool>,
    /// The commit that changed it last, and when.
    pub last: Option<(String, i64)>,
}

/// Whose file.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Tenant of the rows.
    pub tenant: &'a str,
    /// The repository.
    pub repository: &'a str,
    /// Branch or tag.
    pub reference: &'a str,
}

impl File {
    /// Adds its row.
    pub fn write(&self, place: Place<'_>, owners: &[String], rows: &mut Rows) -> Result<(), Reason> {
        rows.set("tenant", place.tenant)
            .set("repository", place.repository)
            .set("ref", place.reference)
            .set("path", self.path.as_str())
            .set("blob", self.blob.as_str())
            .set("size_bytes", self.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)))
            .set("mode", format!("{:06o}", self.mode))
            .set("language", language(&self.path))
            .set("is_binary", self.is_binary)
            .set("last_commit", self.last.as_ref().map(|(sha, _)| sha.clone()))
            .set("last_commit_at", self.last.as_ref().map(|(_, at)| Cell::Time(*at)))
            .set("owners", (!owners.is_empty()).then(|| serde_json::json!(owners).to_string()));
        rows.end_row().map_err(|e| e.to_string())
    }
}

/// Adds the mark that a file is gone.
pub fn delete(place: Place<'_>, path: &str, rows: &mut Rows) -> Result<(), Reason> {
    rows.set("tenant", place.tenant).set("repository", place.repository).set("ref", place.reference).set("path", path);
    rows.end_delete().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_by_names() {
        for (path, expected) in [
            ("a/b.rs", Some("Rust")),
            ("Dockerfile", Some("Dockerfile")),
            ("x/Dockerfile.dev", Some("Dockerfile")),
            ("Makefile", Some("Makefile")),
            ("x", None),
            ("README.md", Some("Markdown")),
        ] {
            assert_eq!(language(path), expected, "{path}");
        }
    }
}
