#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_wiki_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let full = folder.path().join(name);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        std::fs::write(full, text).unwrap();
    };
    write(".order", "Zuerst\nAb%2DStart\n");
    write("Zuerst.md", "# Anders\n\nDie Anlage ist nicht in Betrieb und wird geprüft.\n");
    write("Ab%2DStart.md", "text");
    write("sub/page.md", "---\ntitle: Front\n---\n# H\n\n## I\n");
    write(".attachments/x.md", "no");
    write("CODEOWNERS", "/sub/ @docs\n");
    write("x.bin", "no");
    write("bad.txt", "a\0b");
    let tree = tree::Tree::read(folder.path()).unwrap();
    let told: Vec<_> = tree
        .files
        .iter()
        .map(|file| match tree.page(file) {
            Ok((page, _)) => format!("{} {:?} {} {:?}", file.path, file.position, page.title, page.language),
            Err(reason) => format!("{} {reason}", file.path),
        })
        .collect();
    assert_eq!(
        told,
        [
            "Ab%2DStart.md Some(2) Ab-Start None",
            "Zuerst.md Some(1) Zuerst Some(\"de\")",
            "bad.txt it is no text",
            "sub/page.md None Front None"
        ]
    );
    assert_eq!(tree.owners("sub/page.md"), ["@docs"]);
    let (page, _) = tree.page(&tree.files[3]).unwrap();
    let outline: Vec<_> = page.outline.iter().map(|h| (h.level, h.title.as_str(), h.line)).collect();
    assert_eq!(outline, [(1, "H", 4), (2, "I", 6)]);
}

#[test]
fn packed_documents_and_runbooks_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let full = folder.path().join(name);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        std::fs::write(full, bytes).unwrap();
    };
    write("runbooks/plan.docx", &docx::tests::document());
    write("manual.PDF", &pdf::tests::pdf(&[&["The interlocking is", "tested every day."]], "<< >>", ""));
    write("scan.pdf", &pdf::tests::pdf(&[&[]], "<< >>", ""));
    write("notes.md", b"---\ntype: runbook\n---\n# Notes\n");
    let tree = tree::Tree::read(folder.path()).unwrap();
    let told: Vec<_> = tree
        .files
        .iter()
        .map(|file| match tree.page(file) {
            Ok((page, _)) => format!("{} {} {} {}", file.path, page.format, page.kind, page.title),
            Err(reason) => format!("{} {reason}", file.path),
        })
        .collect();
    assert_eq!(
        told,
        [
            "manual.PDF pdf page The interlocking is",
            "notes.md markdown runbook Notes",
            "runbooks/plan.docx docx runbook Plan B",
            "scan.pdf it holds pictures and no text; run it through OCR first"
        ]
    );
}
