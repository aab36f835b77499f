//! RFC 6962's tree against the vectors that Certificate Transparency's own implementations test with, and every proof of
//! trees of up to 200 leaves.

#![allow(clippy::unwrap_used)]

use super::*;

/// The entries of the known tree.
const ENTRIES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

/// Its root after 0 to 8 entries.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// Leaves that the property tests look at.
const LEAVES_MAX: u64 = 200;

fn known() -> Vec<Hash> {
    ENTRIES.iter().map(|entry| leaf_hash(&hex::decode(entry).unwrap())).collect()
}

fn hashes(texts: &[&str]) -> Vec<Hash> {
    texts.iter().map(|text| from_hex(text).unwrap()).collect()
}

/// Leaves of a larger tree.
fn many(n: u64) -> Vec<Hash> {
    (0..n).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

/// Roots of the tree after 0 to n leaves, by the frontier alone.
fn roots(leaves: &[Hash]) -> Vec<Hash> {
    let mut frontier = Frontier::default();
    let mut roots = vec![frontier.root()];
    for leaf in leaves {
        frontier.push(*leaf);
        roots.push(frontier.root());
    }
    roots
}

#[test]
fn the_roots_are_the_known_ones() {
    let leaves = known();
    for (size, wanted) in ROOTS.iter().enumerate() {
        assert_eq!(hex_of(&subtree(&leaves[..], 0, size as u64).unwrap()), *wanted, "{size}");
    }
    assert_eq!(roots(&leaves), hashes(&ROOTS));
}

#[test]
fn the_inclusion_proofs_are_the_known_ones() {
    let leaves = known();
    for (index, size, wanted) in [
        (0, 1, vec![]),
        (
            0,
            8,
            vec![
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            vec![
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, vec!["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1,
            5,
            vec![
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ] {
        assert_eq!(inclusion(&leaves[..], index, size).unwrap(), hashes(&wanted), "{index} of {size}");
    }
}

#[test]
fn the_consistency_proofs_are_the_known_ones() {
    let leaves = known();
    for (old, new, wanted) in [
        (1, 1, vec![]),
        (
            1,
            8,
            vec![
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            vec![
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            vec![
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ] {
        assert_eq!(consistency(&leaves[..], old, new).unwrap(), hashes(&wanted), "{old} to {new}");
    }
}

#[test]
fn every_inclusion_up_to_200_is_proved_and_no_other() {
    let leaves = many(LEAVES_MAX);
    let roots = roots(&leaves);
    let flipped = |hash: &Hash| {
        let mut other = *hash;
        other[7] ^= 1;
        other
    };
    for size in 1..=LEAVES_MAX {
        let root = roots[size as usize];
        for index in 0..size {
            let path = inclusion(&leaves[..], index, size).unwrap();
            let leaf = leaves[index as usize];
            assert!(proves_inclusion(&leaf, index, size, &path, &root), "{index} of {size}");
            assert!(!proves_inclusion(&flipped(&leaf), index, size, &path, &root));
            assert!(!proves_inclusion(&leaf, index, size, &path, &flipped(&root)));
            if size > 1 {
                assert!(!proves_inclusion(&leaf, (index + 1) % size, size, &path, &root), "{index} of {size}");
                assert!(!proves_inclusion(&leaf, index, size, &path[1..], &root));
                let mut other = path.clone();
                other[0] = flipped(&other[0]);
                assert!(!proves_inclusion(&leaf, index, size, &other, &root));
            }
            let longer = [&path[..], &[root]].concat();
            assert!(!proves_inclusion(&leaf, index, size, &longer, &root));
        }
        assert!(inclusion(&leaves[..], size, size).is_err());
        assert!(!proves_inclusion(&leaves[0], size, size, &[], &root));
    }
}

#[test]
fn every_consistency_up_to_200_is_proved_and_no_other() {
    let leaves = many(LEAVES_MAX);
    let roots = roots(&leaves);
    let mut forged = leaves.clone();
    forged[0] = leaf_hash(b"forged");
    let forged = self::roots(&forged);
    for new in 0..=LEAVES_MAX {
        for old in 0..=new {
            let path = consistency(&leaves[..], old, new).unwrap();
            let (before, after) = (&roots[old as usize], &roots[new as usize]);
            assert!(proves_consistency(old, new, before, after, &path), "{old} to {new}");
            if old > 0 {
                assert!(!proves_consistency(old, new, &forged[old as usize], after, &path), "{old} to {new}");
                assert!(!proves_consistency(old, new, before, &forged[new as usize], &path), "{old} to {new}");
            }
            if !path.is_empty() {
                assert!(!proves_consistency(old, new, before, after, &path[1..]), "{old} to {new}");
            }
        }
        assert!(consistency(&leaves[..], new + 1, new).is_err());
    }
}

#[test]
fn segments_stand_for_their_leaves() {
    let leaves = many(2 * SEGMENT_LEAVES + 5);
    let (mut whole, mut sealed) = (Frontier::default(), Vec::new());
    for leaf in &leaves {
        sealed.extend(whole.push(*leaf));
    }
    assert_eq!(sealed.len(), 2);
    let segment = SEGMENT_LEAVES as usize;
    assert_eq!(sealed[0], subtree(&leaves[..segment], 0, SEGMENT_LEAVES).unwrap());
    assert_eq!(sealed[1], subtree(&leaves[..], SEGMENT_LEAVES, 2 * SEGMENT_LEAVES).unwrap());
    let mut short = Frontier::default();
    sealed.iter().for_each(|root| short.push_segment(*root));
    for leaf in &leaves[2 * segment..] {
        short.push(*leaf);
    }
    assert_eq!(short, whole);
    assert_eq!(Frontier::of(whole.size(), whole.peaks().to_vec()), Some(whole.clone()));
    assert_eq!(Frontier::of(whole.size() + 2, whole.peaks().to_vec()), None);
}
