#![allow(clippy::unwrap_used)]

use tokenizers::Tokenizer;

use super::super::tensors::Tensors;
use super::*;

const HIDDEN: usize = 32;
const PIECES: &[(&str, f32)] = &[
    ("<s>", 0.0),
    ("<pad>", 0.0),
    ("</s>", 0.0),
    ("<unk>", 0.0),
    ("▁", -4.0),
    ("▁a", -1.0),
    ("b", -2.0),
    ("ab", -1.5),
    ("▁ab", -1.2),
    ("ﬁ", -9.0),
    ("fi", -2.5),
    ("<mask>", 0.0),
];

/// A file of one layer, as the engine keeps it.
fn image() -> Vec<u8> {
    let mut bytes = b"E5S1".to_vec();
    let mut numbers = |list: &[u32]| list.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
    numbers(&[1, HIDDEN as u32, 1, 2, 64, PIECES.len() as u32 + 2, 8, 2]);
    bytes.extend(1e-12_f32.to_le_bytes());
    for number in [BLOCK as u32, PIECES.len() as u32, 0, 2, 1, 3] {
        bytes.extend(number.to_le_bytes());
    }
    let blob: String = PIECES.iter().map(|(piece, _)| *piece).collect();
    bytes.extend((blob.len() as u64).to_le_bytes());
    let mut start = 0_u32;
    bytes.extend(start.to_le_bytes());
    for (piece, _) in PIECES {
        start += piece.len() as u32;
        bytes.extend(start.to_le_bytes());
    }
    PIECES.iter().for_each(|(_, score)| bytes.extend(score.to_le_bytes()));
    bytes.extend(blob.as_bytes());
    bytes.extend([0_u8; 8]); // No characters that are written otherwise.
    let (names, data) = tensors();
    let directory: usize = names.iter().map(|(name, ..)| 2 + name.len() + 1 + 4 + 16).sum();
    let origin = bytes.len() + 4 + directory;
    bytes.extend((names.len() as u32).to_le_bytes());
    for (name, kind, count, start, size) in &names {
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.push(*kind);
        bytes.extend((*count as u32).to_le_bytes());
        bytes.extend(((origin + start) as u64).to_le_bytes());
        bytes.extend((*size as u64).to_le_bytes());
    }
    bytes.extend(data);
    bytes
}

type Named = (String, u8, usize, usize, usize);

fn tensors() -> (Vec<Named>, Vec<u8>) {
    let (mut names, mut data) = (Vec::new(), Vec::new());
    let mut blocks = |name: String, count: usize, data: &mut Vec<u8>| {
        let start = data.len();
        for block in 0..count / BLOCK {
            data.extend(f16::from_f32(0.5 + block as f32).to_le_bytes());
            data.extend((0..BLOCK / 2).map(|byte| (byte | (15 - byte) << 4) as u8));
        }
        names.push((name, 1, count, start, data.len() - start));
    };
    blocks("emb.word".to_owned(), (PIECES.len() + 2) * HIDDEN, &mut data);
    for part in ["q", "k", "v", "ao"] {
        blocks(format!("l0.{part}.w"), HIDDEN * HIDDEN, &mut data);
    }
    blocks("l0.fi.w".to_owned(), 64 * HIDDEN, &mut data);
    blocks("l0.fo.w".to_owned(), 64 * HIDDEN, &mut data);
    let mut plain = |name: &str, count: usize, data: &mut Vec<u8>| {
        let start = data.len();
        (0..count).for_each(|n| data.extend((n as f32 / 4.0).to_le_bytes()));
        names.push((name.to_owned(), 0, count, start, data.len() - start));
    };
    plain("emb.pos", 8 * HIDDEN, &mut data);
    plain("emb.type", 2 * HIDDEN, &mut data);
    for name in ["emb.ln.w", "emb.ln.b", "l0.q.b", "l0.k.b", "l0.v.b", "l0.ao.b", "l0.aln.w", "l0.aln.b", "l0.fo.b"] {
        plain(name, HIDDEN, &mut data);
    }
    plain("l0.oln.w", HIDDEN, &mut data);
    plain("l0.oln.b", HIDDEN, &mut data);
    plain("l0.fi.b", 64, &mut data);
    (names, data)
}

#[test]
fn an_image_becomes_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(SOURCE), image()).unwrap();
    convert(folder.path()).unwrap();
    assert!(FILES.iter().all(|file| folder.path().join(file).is_file()) && !folder.path().join(SOURCE).exists());
    let tensors = Tensors::open(&folder.path().join("model.safetensors")).unwrap();
    let words = tensors.read("embeddings.word_embeddings.weight", &[PIECES.len() + 2, HIDDEN]).unwrap();
    // The first byte's halves are 0 and 15, less eight, times the block's scale.
    assert_eq!((words[0], words[1], words[16], words[31]), (-4.0, -3.5, 3.5, -4.0));
    assert_eq!(words[HIDDEN], 1.5 * -8.0);
    let bias = tensors.read("encoder.layer.0.intermediate.dense.bias", &[64]).unwrap();
    assert_eq!(bias[5], 1.25);
    let table = tensors.table("embeddings.word_embeddings.weight", [PIECES.len() + 2, HIDDEN]).unwrap();
    let (more, mut sum) = (vec![0.5; HIDDEN], vec![0.0; HIDDEN]);
    for (row, words) in words.chunks_exact(HIDDEN).enumerate() {
        table.add_row(row, &more, &mut sum, &mut Vec::new()).unwrap();
        assert!(sum.iter().zip(words).all(|(sum, word)| *sum == word + 0.5), "row {row}");
    }

    let tokenizer = Tokenizer::from_file(folder.path().join("tokenizer.json")).unwrap();
    let ids = |text: &str| tokenizer.encode(text, true).unwrap().get_ids().to_vec();
    assert_eq!(ids("ab"), [0, 8, 2]);
    assert_eq!(ids("  a\u{200b}ab\u{1}b\n"), [0, 5, 8, 6, 2], "blanks are one, marks of control are gone");
    assert_eq!(ids("aﬁ"), [0, 5, 10, 2], "compatible characters are written out");
    assert_eq!(ids("ä"), [0, 4, 3, 2], "what is unknown is one token");
    assert_eq!(ids("<mask>"), [0, 11, 2]);
    assert_eq!(ids(""), [0, 2]);
}

#[test]
fn damaged_images_are_told() {
    let whole = image();
    for end in (0..whole.len()).step_by(97) {
        let parsed = Image::parse(&whole[..end]).and_then(|image| image.tensors().map(|_| ()));
        assert_eq!(parsed.unwrap_err().kind(), Kind::Corrupt, "cut at {end}");
    }
    let mut other = whole.clone();
    other[0] = b'X';
    assert!(Image::parse(&other).is_err());
    other = whole;
    other[4] = 9;
    assert!(Image::parse(&other).err().unwrap().to_string().contains("version 9"));
}
