//! PDF: the text of its pages, each under a heading that names the page, so that whoever cites it can say where.
//!
//! The library that reads PDF is trusted with nothing: it works on a thread of its own with a deadline, and a panic of its
//! own is a reason and not an end. What is encrypted, or holds pictures only, is refused in words.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use pdf_extract::{Document, Object, OutputDev, OutputError, PlainTextOutput, decode_text_string, output_doc_page};
use serde_json::{Map, Value};

use super::markdown;
use super::page::Page;
use crate::json::Reason;

/// Longest that one document is read.
const TIME_MAX: Duration = Duration::from_secs(30);
/// Pages that are read.
const PAGES_MAX: usize = 5_000;
/// Bytes of text that are taken out.
const TEXT_BYTES_MAX: usize = 16 << 20;
/// Threads that may still work on a document which was given up; a thread cannot be ended from outside.
const STUCK_MAX: usize = 3;
/// Objects within objects need stack.
const STACK_BYTES: usize = 64 << 20;
/// Letters that a page has on average, or the document is one of pictures.
const LETTERS_A_PAGE_MIN: usize = 4;

static STUCK: AtomicUsize = AtomicUsize::new(0);

/// Reads a PDF.
pub fn read(body: &[u8]) -> Result<Page, Reason> {
    if !body[..body.len().min(1_024)].windows(5).any(|bytes| bytes == b"%PDF-") {
        return Err("it is no PDF: it does not begin as one".to_owned());
    }
    if STUCK.load(Ordering::Relaxed) >= STUCK_MAX {
        return Err(format!("{STUCK_MAX} other PDFs were given up and still run: no more are read by this process"));
    }
    within(TIME_MAX, body.to_vec(), extract)
}

/// Runs `work` on a thread of its own and waits this long for it.
fn within(patience: Duration, body: Vec<u8>, work: fn(&[u8], Instant) -> Result<Page, Reason>) -> Result<Page, Reason> {
    let (told, heard) = sync_channel(1);
    let deadline = Instant::now() + patience;
    // Whoever is the second of the two to be done with the other knows how it went.
    let parted = Arc::new(AtomicBool::new(false));
    let parting = Arc::clone(&parted);
    let thread = std::thread::Builder::new().name("pdf".to_owned()).stack_size(STACK_BYTES).spawn(move || {
        let read = catch_unwind(AssertUnwindSafe(|| work(&body, deadline)));
        let read = read.unwrap_or_else(|_| Err("the reader of PDF gave up on it: its structure is broken".to_owned()));
        if parting.swap(true, Ordering::AcqRel) {
            STUCK.fetch_sub(1, Ordering::Relaxed);
        }
        let _ = told.send(read);
    });
    thread.map_err(|e| format!("no thread could be made to read it: {e}"))?;
    match heard.recv_timeout(patience) {
        Ok(read) => read,
        Err(RecvTimeoutError::Timeout) => {
            STUCK.fetch_add(1, Ordering::Relaxed);
            if parted.swap(true, Ordering::AcqRel) {
                STUCK.fetch_sub(1, Ordering::Relaxed);
            }
            Err(format!("it was not read within {} s", patience.as_secs()))
        }
        Err(RecvTimeoutError::Disconnected) => Err("the reader of PDF ended without a word".to_owned()),
    }
}

/// Names the dictionary of an encrypted document. One whose key does not fit loads as a document without pages.
const ENCRYPT: &[u8] = b"/Encrypt";

fn extract(body: &[u8], deadline: Instant) -> Result<Page, Reason> {
    let mut document = Document::load_mem(body).map_err(|e| format!("its structure does not parse: {e}"))?;
    // A document that everybody may read but not change is encrypted with the empty password.
    if document.is_encrypted() && document.decrypt("").is_err() {
        return Err("it is encrypted; ingest a copy without a password".to_owned());
    }
    let pages = document.get_pages().len();
    if pages == 0 && body.windows(ENCRYPT.len()).any(|bytes| bytes == ENCRYPT) {
        return Err("it is encrypted; ingest a copy without a password".to_owned());
    }
    if pages == 0 || pages > PAGES_MAX {
        return Err(format!("it has {pages} pages; between 1 and {PAGES_MAX} are read"));
    }
    let (mut text, mut broken) = (String::new(), 0);
    for number in 1..=u32::try_from(pages).unwrap_or(u32::MAX) {
        if Instant::now() > deadline {
            return Err(format!("its first {} of {pages} pages took too long", number - 1));
        }
        match catch_unwind(AssertUnwindSafe(|| page_text(&document, number))) {
            Ok(Ok(words)) => add_page(&words, number, pages, &mut text),
            // One bad page never rejects its neighbours.
            _ => broken += 1,
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("its text has more than {TEXT_BYTES_MAX} bytes"));
        }
    }
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    if letters < LETTERS_A_PAGE_MIN * pages {
        return Err(match broken {
            0 => "it holds pictures and no text; run it through OCR first".to_owned(),
            _ => format!("{broken} of its {pages} pages could not be read, and the others hold no text"),
        });
    }
    let mut about = information(&document);
    if broken > 0 {
        about.insert("unread_pages".to_owned(), broken.into());
    }
    let title = about.get("title").and_then(Value::as_str).map(str::trim).unwrap_or_default().to_owned();
    // Its pages' headings are places, no title: the first line of the text is the better guess.
    let first = || text.lines().find(|line| !line.is_empty() && !line.starts_with("## ")).unwrap_or_default();
    let title = if title.is_empty() { shortened(first()) } else { title };
    let outline = markdown::outline(&text, 1);
    let front_matter = (!about.is_empty()).then_some(Value::Object(about));
    Ok(Page { title, outline, text, front_matter, ..Page::default() })
}

fn page_text(document: &Document, number: u32) -> Result<String, OutputError> {
    let mut words = String::new();
    let mut output = PlainTextOutput::new(&mut words);
    let output: &mut dyn OutputDev = &mut output;
    output_doc_page(document, output, number)?;
    Ok(words)
}

/// A page's lines: white space is one space, an empty line parts paragraphs, a word that was parted at a line's end is one.
fn add_page(words: &str, number: u32, pages: usize, text: &mut String) {
    if words.trim().is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    if pages > 1 {
        text.push_str(&format!("## Page {number}\n\n"));
    }
    let begin = text.len();
    for line in words.lines() {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            if text.len() > begin && !text.ends_with("\n\n") {
                text.push('\n');
            }
            continue;
        }
        let parted = text.len() > begin && text.ends_with("-\n") && line.starts_with(char::is_lowercase);
        let before = text.trim_end_matches("-\n").chars().next_back();
        if parted && before.is_some_and(char::is_lowercase) {
            text.truncate(text.len() - 2);
        }
        // What looks like a heading of Markdown was none.
        if line.starts_with('#') {
            text.push('\\');
        }
        text.push_str(&line);
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
}

/// What the document says about itself.
fn information(document: &Document) -> Map<String, Value> {
    let dictionary = document.trailer.get(b"Info").and_then(Object::as_reference);
    let Ok(dictionary) = dictionary.and_then(|id| document.get_dictionary(id)) else { return Map::new() };
    let entry = |(key, name): (&[u8], &str)| {
        let words = dictionary.get(key).ok().and_then(|value| decode_text_string(value).ok())?;
        let words = words.trim().trim_matches('\0').to_owned();
        (!words.is_empty()).then(|| (name.to_owned(), Value::String(words)))
    };
    let names: [(&[u8], &str); 4] =
        [(b"Title", "title"), (b"Author", "author"), (b"Subject", "subject"), (b"Keywords", "keywords")];
    names.into_iter().filter_map(entry).collect()
}

fn shortened(line: &str) -> String {
    const TITLE_CHARS_MAX: usize = 120;
    line.trim_start_matches('\\').chars().take(TITLE_CHARS_MAX).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    /// A PDF with a page of Helvetica for each of these lists of lines, and what stands in its trailer.
    pub fn pdf(pages: &[&[&str]], information: &str, trailer: &str) -> Vec<u8> {
        let count = pages.len();
        let kids: Vec<String> = (0..count).map(|at| format!("{} 0 R", 5 + 2 * at)).collect();
        let mut objects = vec![
            "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
            format!("<< /Type /Pages /Kids [{}] /Count {count} /MediaBox [0 0 612 792] >>", kids.join(" ")),
            "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
            information.to_owned(),
        ];
        for (at, lines) in pages.iter().enumerate() {
            let shown: Vec<String> = lines.iter().map(|line| format!("({line}) Tj 0 -16 Td")).collect();
            let content = format!("BT /F1 12 Tf 72 700 Td {} ET", shown.join(" "));
            objects.push(format!(
                "<< /Type /Page /Parent 2 0 R /Resources << /Font << /F1 3 0 R >> >> /Contents {} 0 R >>",
                6 + 2 * at
            ));
            objects.push(format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()));
        }
        let mut body = b"%PDF-1.4\n".to_vec();
        let mut places = Vec::new();
        for (at, object) in objects.iter().enumerate() {
            places.push(body.len());
            body.extend(format!("{} 0 obj\n{object}\nendobj\n", at + 1).bytes());
        }
        let table = body.len();
        body.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
        places.iter().for_each(|place| body.extend(format!("{place:010} 00000 n \n").bytes()));
        let size = objects.len() + 1;
        body.extend(
            format!("trailer\n<< /Size {size} /Root 1 0 R /Info 4 0 R {trailer} >>\nstartxref\n{table}\n%%EOF\n")
                .bytes(),
        );
        body
    }

    #[test]
    fn pages_with_their_numbers() {
        let body = pdf(
            &[&["Runbook of the signal box", "Restart the inter-", "locking by hand."], &["Call the dispatcher."]],
            "<< /Title (Runbook 7) /Author (Operations) >>",
            "",
        );
        let page = read(&body).unwrap();
        assert_eq!(page.title, "Runbook 7");
        let heads: Vec<_> = page.outline.iter().map(|h| h.title.as_str()).collect();
        assert_eq!(heads, ["Page 1", "Page 2"]);
        assert!(page.text.contains("Restart the interlocking by hand."), "{}", page.text);
        assert!(page.text.ends_with("Call the dispatcher."), "{}", page.text);
        let untitled = read(&pdf(&[&["First line", "second"]], "<< >>", "")).unwrap();
        assert_eq!((untitled.title.as_str(), untitled.outline.len()), ("First line", 0));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let locked = pdf(
            &[&["secret words"]],
            "<< >>",
            "/Encrypt << /Filter /Standard /V 1 /R 2 /O (aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa) /U (bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb) /P -4 >> /ID [(a) (a)]",
        );
        for (body, words) in [
            (pdf(&[&[]], "<< >>", ""), "pictures"),
            (locked, "encrypted"),
            (b"no pdf".to_vec(), "no PDF"),
            (b"%PDF-1.7\ngarbage".to_vec(), "structure"),
            (b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 1 0 R>>endobj\ntrailer<</Root 1 0 R>>".to_vec(), ""),
        ] {
            let reason = read(&body).unwrap_err();
            assert!(reason.contains(words), "{words}: {reason}");
        }
    }

    #[test]
    fn a_panic_and_a_long_silence_are_reasons() {
        let reason = within(Duration::from_secs(5), Vec::new(), |_, _| panic!("a defect of the library")).unwrap_err();
        assert!(reason.contains("gave up"), "{reason}");
        let slow = |_: &[u8], _: Instant| {
            std::thread::sleep(Duration::from_millis(300));
            Err(String::new())
        };
        let reason = within(Duration::from_millis(20), Vec::new(), slow).unwrap_err();
        assert!(reason.contains("not read within"), "{reason}");
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(STUCK.load(Ordering::Relaxed), 0, "a thread that ended is not stuck");
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(24))]
        #[test]
        fn a_damaged_document_never_ends_the_process(at in 0_usize..1_000, byte in 0_u8..=255, cut in 0_usize..1_000) {
            let mut body = pdf(&[&["one"], &["two"]], "<< >>", "");
            let end = body.len();
            body[at % end] = byte;
            body.truncate(end - cut % (end / 2));
            let _ = read(&body);
        }
    }
}
