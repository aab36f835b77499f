//! `git_manifest` and `git_dependency`: what a repository declares that it is, and what it needs.

use engine::{Column, Index, Rows, Table, Type};

use super::file::Place;
use crate::json::Reason;

mod lines;
mod structured;
mod xml;

/// Manifests.
pub static GIT_MANIFEST: Table = Table {
    key: &["repository", "ref", "path"],
    time: "ingested_at",
    ..Table::new(
        "git_manifest",
        "Manifests of packages, charts and images in a repository, with the names that they declare.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the row.").required(),
            Column::new("repository", Type::Text, "The repository.").required(),
            Column::new("ref", Type::Text, "Branch, tag or commit.").required(),
            Column::new("path", Type::Text, "The manifest.").required(),
            Column::new("blob", Type::Text, "Id of its content.").required(),
            Column::new("ecosystem", Type::Name, "`npm`, `cargo`, `golang`, `maven`, `nuget`, `pypi`, `composer`, `helm`, `docker`: the type of a package URL.").required(),
            Column::new("name", Type::Text, "Name that it declares."),
            Column::new("version", Type::Text, "Version that it declares."),
            Column::new("licences", Type::Text, "Licence that it declares."),
            Column::new("description", Type::Text, "Description that it declares."),
            Column::new("dependencies", Type::Int, "Dependencies that it declares.").required(),
        ],
    )
};

/// Declared dependencies.
pub static GIT_DEPENDENCY: Table = Table {
    key: &["repository", "ref", "path", "scope", "name"],
    time: "ingested_at",
    indexes: &[Index::BTree("name")],
    ..Table::new(
        "git_dependency",
        "What the manifests of a repository declare that they need; what is built in is told by `sbom_component`.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the row.").required(),
            Column::new("repository", Type::Text, "The repository.").required(),
            Column::new("ref", Type::Text, "Branch, tag or commit.").required(),
            Column::new("path", Type::Text, "The manifest.").required(),
            Column::new(
                "scope",
                Type::Name,
                "`runtime`, `development`, `build`, `test`, `optional`, `peer`, `indirect` …",
            )
            .required(),
            Column::new("name", Type::Text, "Name of the dependency.").required(),
            Column::new("ecosystem", Type::Name, "Ecosystem of the manifest.").required(),
            Column::new("requirement", Type::Text, "Version or range that is asked for, as written."),
        ],
    )
};

/// A manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Ecosystem.
    pub ecosystem: &'static str,
    /// Name.
    pub name: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Licence.
    pub licences: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// What it needs.
    pub dependencies: Vec<Dependency>,
}

/// One thing that is needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dependency {
    /// `runtime`, `development` …
    pub scope: String,
    /// Its name.
    pub name: String,
    /// Version or range.
    pub requirement: Option<String>,
}

impl Manifest {
    /// Adds a dependency; the first of a name and scope counts.
    fn need(&mut self, scope: &str, name: impl Into<String>, requirement: Option<String>) {
        let name = name.into();
        let known = self.dependencies.iter().any(|other| other.scope == scope && other.name == name);
        if !known && !name.trim().is_empty() {
            self.dependencies.push(Dependency { scope: scope.to_owned(), name, requirement });
        }
    }

    /// Adds its rows.
    pub fn write(
        &self,
        place: Place<'_>,
        path: &str,
        blob: &str,
        manifests: &mut Rows,
        needs: &mut Rows,
    ) -> Result<(), Reason> {
        manifests
            .set("tenant", place.tenant)
            .set("repository", place.repository)
            .set("ref", place.reference)
            .set("path", path)
            .set("blob", blob)
            .set("ecosystem", self.ecosystem)
            .set("name", self.name.clone())
            .set("version", self.version.clone())
            .set("licences", self.licences.clone())
            .set("description", self.description.clone())
            .set("dependencies", i64::try_from(self.dependencies.len()).unwrap_or(i64::MAX));
        manifests.end_row().map_err(|e| e.to_string())?;
        for dependency in &self.dependencies {
            set_key(place, path, &dependency.scope, &dependency.name, needs);
            needs.set("ecosystem", self.ecosystem).set("requirement", dependency.requirement.clone());
            needs.end_row().map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

fn set_key(place: Place<'_>, path: &str, scope: &str, name: &str, needs: &mut Rows) {
    needs
        .set("tenant", place.tenant)
        .set("repository", place.repository)
        .set("ref", place.reference)
        .set("path", path)
        .set("scope", scope)
        .set("name", name);
}

/// Adds the mark that a manifest is gone.
pub fn delete(place: Place<'_>, path: &str, manifests: &mut Rows) -> Result<(), Reason> {
    manifests
        .set("tenant", place.tenant)
        .set("repository", place.repository)
        .set("ref", place.reference)
        .set("path", path);
    manifests.end_delete().map_err(|e| e.to_string())
}

/// Adds the mark that a dependency is gone.
pub fn delete_dependency(
    place: Place<'_>,
    path: &str,
    scope: &str,
    name: &str,
    needs: &mut Rows,
) -> Result<(), Reason> {
    set_key(place, path, scope, name, needs);
    needs.end_delete().map_err(|e| e.to_string())
}

/// How a manifest's text is read.
type Reader = fn(&str) -> Result<Manifest, Reason>;

/// The reader of a file by its name; `None` where it is no manifest.
pub fn reader(path: &str) -> Option<Reader> {
    let name = path.rsplit('/').next().unwrap_or(path);
    // What was installed is not what is declared here.
    if path.split('/').any(|folder| folder == "node_modules" || folder == "vendor") {
        return None;
    }
    Some(match name {
        "package.json" => structured::package_json,
        "composer.json" => structured::composer,
        "Cargo.toml" => structured::cargo,
        "pyproject.toml" => structured::pyproject,
        "Chart.yaml" | "Chart.yml" => structured::chart,
        "go.mod" => lines::go_mod,
        "pom.xml" => xml::pom,
        "packages.config" => xml::packages_config,
        name if name.starts_with("requirements") && name.ends_with(".txt") => lines::requirements,
        name if [".csproj", ".fsproj", ".vbproj"].iter().any(|end| name.ends_with(end)) => xml::project,
        name if name == "Directory.Packages.props" => xml::project,
        name if name == "Dockerfile" || name.starts_with("Dockerfile.") || name == "Containerfile" => lines::dockerfile,
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, head: (&str, Option<&str>, Option<&str>), needs: &[&str]) {
        let read = reader(path).unwrap_or_else(|| panic!("{path}"))(text).unwrap();
        assert_eq!((read.ecosystem, read.name.as_deref(), read.version.as_deref()), head, "{path}");
        let told: Vec<_> = read
            .dependencies
            .iter()
            .map(|d| format!("{} {} {}", d.scope, d.name, d.requirement.clone().unwrap_or_default()))
            .collect();
        assert_eq!(told, needs, "{path}");
    }

    #[test]
    fn manifests_of_every_kind() {
        check(
            "a/package.json",
            r#"{"name": "a", "version": "1.0.0", "license": "MIT", "dependencies": {"b": "^2"}, "devDependencies": {"c": "3"}}"#,
            ("npm", Some("a"), Some("1.0.0")),
            &["runtime b ^2", "development c 3"],
        );
        check(
            "Cargo.toml",
            "[package]\nname = \"a\"\nversion.workspace = true\n[dependencies]\nserde = \"1\"\ntokio = { version = \"1.2\", features = [] }\nx.path = \"../x\"\n[target.'cfg(unix)'.dev-dependencies]\nnix = \"0.1\"\n[workspace.dependencies]\ny = \"2\"\n",
            ("cargo", Some("a"), None),
            &["runtime serde 1", "runtime tokio 1.2", "runtime x ", "development nix 0.1", "workspace y 2"],
        );
        check(
            "go.mod",
            "module example.com/a\n\ngo 1.22\n\nrequire (\n\tb.com/c v1.2.3\n\td.com/e v0.1.0 // indirect\n)\nrequire f.com/g v1.0.0\n",
            ("golang", Some("example.com/a"), None),
            &["runtime b.com/c v1.2.3", "indirect d.com/e v0.1.0", "runtime f.com/g v1.0.0"],
        );
        check(
            "pom.xml",
            "<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version><properties><v>2.0</v></properties><dependencies><dependency><groupId>x</groupId><artifactId>y</artifactId><version>${v}</version><scope>test</scope></dependency></dependencies></project>",
            ("maven", Some("g:a"), Some("1")),
            &["test x:y 2.0"],
        );
        check(
            "src/A.csproj",
            "<Project Sdk=\"x\"><PropertyGroup><Version>2</Version></PropertyGroup><ItemGroup><PackageReference Include=\"N.J\" Version=\"13.0.1\" /><PackageReference Include=\"P\"><Version>1</Version></PackageReference></ItemGroup></Project>",
            ("nuget", None, Some("2")),
            &["runtime N.J 13.0.1", "runtime P 1"],
        );
        check(
            "requirements-dev.txt",
            "# x\nrequests[socks]>=2.0,<3 ; python_version > '3'\n-r base.txt\nflask==1.0 \\\n  --hash=sha256:ff\ngit+https://x/y.git#egg=z\n",
            ("pypi", None, None),
            &["runtime requests >=2.0,<3", "runtime flask ==1.0", "runtime z git+https://x/y.git"],
        );
        check(
            "Chart.yaml",
            "apiVersion: v2\nname: shop\nversion: 0.1.0\ndependencies:\n- name: redis\n  version: ~17\n  condition: redis.enabled\n",
            ("helm", Some("shop"), Some("0.1.0")),
            &["optional redis ~17"],
        );
        check(
            "Dockerfile",
            "ARG V=1\nFROM --platform=x golang:${V} AS build\nRUN x\nFROM build AS test\nFROM registry.x/a/b@sha256:ff\n",
            ("docker", None, None),
            &["build golang 1", "runtime registry.x/a/b sha256:ff"],
        );
        check(
            "pyproject.toml",
            "[project]\nname = \"a\"\nversion = \"1\"\ndependencies = [\"b>=2\"]\n[project.optional-dependencies]\nextra = [\"c\"]\n[build-system]\nrequires = [\"hatchling\"]\n",
            ("pypi", Some("a"), Some("1")),
            &["runtime b >=2", "optional c ", "build hatchling "],
        );
        assert!(reader("node_modules/x/package.json").is_none() && reader("x.json").is_none());
        assert!(reader("package.json").unwrap()("[").is_err());
    }
}
