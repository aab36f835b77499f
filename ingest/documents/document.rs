//! `document`: one row a document, with its text.

use engine::{Column, Index, Rows, Table, Type, Value as Cell};

use super::page::Page;
use crate::json::Reason;

/// Documents.
pub static DOCUMENT: Table = Table {
    key: &["origin", "ref", "path"],
    time: "ingested_at",
    indexes: &[Index::BTree("path"), Index::BTree("content_hash")],
    acl: Some("acl"),
    ..Table::new(
        "document",
        "The current text of every document of folders, wikis and repositories. A document that is gone has no row; `as_of` shows it.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the row.").required(),
            Column::new("origin", Type::Text, "Folder or repository that it was read from.").required(),
            Column::new("ref", Type::Text, "Branch, tag or commit of the repository; empty for folders.").required(),
            Column::new("path", Type::Text, "Path within its origin.").required(),
            Column::new("uri", Type::Text, "Where it lies."),
            Column::new("title", Type::Text, "Title: of its front matter, its first heading, or its file's name.")
                .required(),
            Column::new(
                "document_kind",
                Type::Name,
                "`page`, `readme`, `changelog`, `licence`, `contributing`, `runbook` or `adr`.",
            )
            .required(),
            Column::new(
                "document_format",
                Type::Name,
                "`markdown`, `html`, `asciidoc`, `restructuredtext`, `text`, `pdf` or `docx`; the text of the last two is Markdown.",
            )
            .required(),
            Column::new(
                "language",
                Type::Name,
                "Language of the text as guessed: `de`, `en`; null where neither is likely.",
            ),
            Column::new("outline", Type::Json, "Headings in order: `[{\"level\": 1, \"title\": \"…\", \"line\": 3}]`."),
            Column::new("front_matter", Type::Json, "Front matter, attributes or meta tags, as one object."),
            Column::new("text", Type::Text, "The text without front matter; of HTML what a reader sees.").required(),
            Column::new("content_hash", Type::Text, "SHA-256 of its bytes; in a repository the id of its blob.")
                .required(),
            Column::new("version", Type::Int, "Counts the contents that were seen under this path.").required(),
            Column::new("size_bytes", Type::Int, "Size of the file.").unit("bytes"),
            Column::new(
                "modified_at",
                Type::Time,
                "When the file changed last; in a repository, when its last commit was made.",
            ),
            Column::new("owners", Type::Json, "Owners by CODEOWNERS, a list."),
            Column::new(
                "acl",
                Type::Json,
                "Groups that may see it, a list, from `acl` of its front matter; null where everybody of the tenant may.",
            ),
            Column::new("position", Type::Int, "Place among its siblings, where a wiki's `.order` gives one."),
            Column::new("adr_number", Type::Int, "Number of the architecture decision."),
            Column::new(
                "adr_status",
                Type::Name,
                "Its status in small letters: `proposed`, `accepted`, `rejected`, `deprecated`, `superseded`.",
            ),
            Column::new("adr_date", Type::Text, "Its date, as `YYYY-MM-DD`."),
            Column::new("adr_decision", Type::Text, "Text of its section Decision."),
            Column::new("adr_superseded_by", Type::Int, "Number of the decision that took its place."),
        ],
    )
};

/// A document and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// Tenant of the row.
    pub tenant: &'a str,
    /// Folder or repository.
    pub origin: &'a str,
    /// Branch or tag.
    pub reference: &'a str,
    /// Path within.
    pub path: &'a str,
    /// Where it lies.
    pub uri: Option<&'a str>,
    /// What it says.
    pub page: &'a Page,
    /// Hash of its bytes.
    pub content_hash: &'a str,
    /// Which content.
    pub version: i64,
    /// Size of the file.
    pub bytes: u64,
    /// When it changed last.
    pub modified_us: Option<i64>,
    /// Owners.
    pub owners: &'a [String],
    /// Place among siblings.
    pub position: Option<i64>,
}

impl Document<'_> {
    /// Adds its row.
    pub fn write(&self, rows: &mut Rows) -> Result<(), Reason> {
        let page = self.page;
        let adr = page.adr.clone().unwrap_or_default();
        rows.set("tenant", self.tenant)
            .set("origin", self.origin)
            .set("ref", self.reference)
            .set("path", self.path)
            .set("uri", self.uri)
            .set("title", page.title.as_str())
            .set("document_kind", page.kind)
            .set("document_format", page.format)
            .set("language", page.language)
            .set("outline", page.outline_json())
            .set("front_matter", page.front_matter.as_ref().map(ToString::to_string))
            .set("text", page.text.as_str())
            .set("content_hash", self.content_hash)
            .set("version", self.version)
            .set("size_bytes", i64::try_from(self.bytes).unwrap_or(i64::MAX))
            .set("modified_at", self.modified_us.map(Cell::Time))
            .set("owners", (!self.owners.is_empty()).then(|| serde_json::json!(self.owners).to_string()))
            .set("acl", acl(page))
            .set("position", self.position)
            .set("adr_number", adr.number)
            .set("adr_status", adr.status)
            .set("adr_date", adr.date)
            .set("adr_decision", adr.decision)
            .set("adr_superseded_by", adr.superseded_by);
        rows.end_row().map_err(|e| e.to_string())
    }
}

/// The groups that a page's front matter admits. One that names them otherwise than as a text or a list admits nobody.
fn acl(page: &Page) -> Option<String> {
    let named = page.front_matter.as_ref()?.get("acl")?;
    let group = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let groups: Vec<String> = match named {
        serde_json::Value::Null => return None,
        serde_json::Value::Array(groups) => groups.iter().filter_map(group).collect(),
        one => group(one).into_iter().collect(),
    };
    Some(serde_json::json!(groups).to_string())
}

/// Adds the mark that a document is gone.
pub fn delete(tenant: &str, origin: &str, reference: &str, path: &str, rows: &mut Rows) -> Result<(), Reason> {
    rows.set("tenant", tenant).set("origin", origin).set("ref", reference).set("path", path);
    rows.end_delete().map_err(|e| e.to_string())
}
