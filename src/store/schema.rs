//! How the state lies in an ordered key-value store: versions, keys, and the bytes of values.
//!
//! Integers in keys are big-endian, so that the order of bytes is the order of things. Every value begins
//! with a version byte. A body longer than [`VALUE_BYTES_MAX`] is cut into chunks that lie under keys of
//! their own, and the value under the thing's own key only counts them; so is the part of an outbox entry that
//! never changes, behind the part that does.

use chrono::{DateTime, Utc};

use super::DocumentKind;
use crate::model::{ArxivId, DigestId, SubscriberId, VersionedId};

mod bits;
mod codec;
mod entry;

pub(super) use codec::{
    decode_document, decode_paper, decode_subscriber, encode_document, encode_paper, encode_subscriber,
};
pub(super) use entry::{Parts, decode_entry, encode_entry, encode_onto, is_kept, stem};

/// The version of everything below. A store that says more than this was written by a newer program.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// The longest body under one key, in bytes.
///
/// sled packs up to 16 neighbouring keys into a page (19 for a moment, after a merge) and moves a page of
/// more than 128 KiB to a file of its own, which it never syncs. Measured: eight neighbours of 60 KiB are
/// enough for two such files, and a power cut would lose them without any error. Nineteen values of this
/// size with the longest keys stay below 90 KiB.
pub(super) const VALUE_BYTES_MAX: usize = 4 * 1024;

/// The longest body over all its chunks, in bytes: a bound on what one reading allocates.
pub(super) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest name that stands in a key as it is, in bytes. A mail address has at most 254.
const KEY_TEXT_BYTES_MAX: usize = 255;

/// The version byte of the values that are written now.
const VALUE_VERSION: u8 = 1;

/// Version, revision and number of chunks.
const HEAD_BYTES: usize = 1 + 8 + 4;

/// What is stored is not what this program writes; the text says what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(pub(super) String);

impl Unreadable {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// The first part of a stored body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'v> {
    /// The revision of the whole.
    pub(super) revision: u64,
    /// In how many chunks the body lies; 0: it is `inline`.
    pub(super) n_chunks: u32,
    /// The body, or what of it comes before the chunks.
    pub(super) inline: &'v [u8],
}

impl<'v> Head<'v> {
    /// Reads the value under a thing's own key.
    pub(super) fn parse(value: &'v [u8]) -> Result<Self, Unreadable> {
        let (head, inline) = value
            .split_at_checked(HEAD_BYTES)
            .ok_or_else(|| Unreadable::new(format!("a value of {} bytes is too short", value.len())))?;
        check_version(head[0])?;
        let (mut revision, mut n_chunks) = ([0; 8], [0; 4]);
        revision.copy_from_slice(&head[1..9]);
        n_chunks.copy_from_slice(&head[9..]);
        Ok(Self {
            revision: u64::from_be_bytes(revision),
            n_chunks: u32::from_be_bytes(n_chunks),
            inline,
        })
    }
}

/// Cuts a body into the value under its own key and the values of its chunks, of which short bodies have none.
/// `None` for one that is longer than [`BODY_BYTES_MAX`].
pub(super) fn cut(revision: u64, body: &[u8]) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    if body.len() <= VALUE_BYTES_MAX {
        Some((head(revision, 0, body), Vec::new()))
    } else {
        cut_behind(revision, &[], body)
    }
}

/// The same for a body of two parts, of which only the second lies in chunks. `None` too if the first is longer than
/// [`VALUE_BYTES_MAX`].
pub(super) fn cut_behind(revision: u64, first: &[u8], second: &[u8]) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    if first.len() > VALUE_BYTES_MAX || first.len() + second.len() > BODY_BYTES_MAX {
        return None;
    }
    let chunks: Vec<_> = second
        .chunks(VALUE_BYTES_MAX)
        .map(|part| [&[VALUE_VERSION], part].concat())
        .collect();
    let n_chunks = u32::try_from(chunks.len()).ok()?;
    Some((head(revision, n_chunks, first), chunks))
}

/// The value under a thing's own key.
pub(super) fn head(revision: u64, n_chunks: u32, inline: &[u8]) -> Vec<u8> {
    [
        &[VALUE_VERSION][..],
        &revision.to_be_bytes(),
        &n_chunks.to_be_bytes(),
        inline,
    ]
    .concat()
}

/// The content of a chunk.
pub(super) fn chunk_content(value: &[u8]) -> Result<&[u8], Unreadable> {
    let (version, content) = value
        .split_first()
        .ok_or_else(|| Unreadable::new("an empty value where a part of a longer one belongs"))?;
    check_version(*version)?;
    Ok(content)
}

/// A number under a name of its own, such as the schema's version.
pub(super) fn encode_number(number: u64) -> Vec<u8> {
    [&[VALUE_VERSION][..], &number.to_be_bytes()].concat()
}

/// The inverse of [`encode_number`].
pub(super) fn decode_number(value: &[u8]) -> Result<u64, Unreadable> {
    let content = chunk_content(value)?;
    let bytes = content
        .try_into()
        .map_err(|_| Unreadable::new(format!("a number of {} bytes", content.len())))?;
    Ok(u64::from_be_bytes(bytes))
}

fn check_version(version: u8) -> Result<(), Unreadable> {
    if version == VALUE_VERSION {
        Ok(())
    } else {
        Err(Unreadable::new(format!(
            "a value begins with version {version} instead of {VALUE_VERSION}"
        )))
    }
}

/// A name as part of a key: itself, or its hash after a byte that no text contains.
///
/// A name with NUL is hashed too, because NUL ends a name inside longer keys; so names order as texts do.
fn text_key(text: &str) -> Vec<u8> {
    if text.len() <= KEY_TEXT_BYTES_MAX && !text.contains('\0') {
        text.as_bytes().to_vec()
    } else {
        let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        [&[0xff], hash.as_ref()].concat()
    }
}

/// The name that [`text_key`] was made from; `None` for a hashed one, whose value holds it.
pub(super) fn key_text(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key).ok()
}

/// The key of a subscriber.
pub(super) fn subscriber_key(id: &SubscriberId) -> Vec<u8> {
    text_key(&id.0)
}

/// What the keys of a subscriber's outbox entries begin with.
pub(super) fn entry_prefix(subscriber: &SubscriberId) -> Vec<u8> {
    let mut key = text_key(&subscriber.0);
    key.push(0);
    key
}

/// The key of an outbox entry.
pub(super) fn entry_key(id: &DigestId) -> Vec<u8> {
    let mut key = entry_prefix(&id.subscriber);
    key.extend(id.number.to_be_bytes());
    key
}

/// Seconds with the sign flipped, so that times before 1970 order below the others, and nanoseconds.
const DUE_TIME_BYTES: usize = 8 + 4;

/// What the index holds instead of a time for an entry that nobody may take: above every time.
const NEVER: [u8; DUE_TIME_BYTES] = [0xff; DUE_TIME_BYTES];

/// The key of an active entry in the index of what is due.
pub(super) fn due_key(due_at: Option<DateTime<Utc>>, id: &DigestId) -> Vec<u8> {
    let mut key = due_at.map_or(NEVER, due_time).to_vec();
    key.extend(entry_key(id));
    key
}

/// The key below which everything in the index is due at `now` or earlier.
pub(super) fn due_end(now: DateTime<Utc>) -> Vec<u8> {
    let mut key = due_time(now).to_vec();
    // Above every name: a key's name begins with a byte of text or a single 0xff before a hash.
    key.extend([0xff; 40]);
    key
}

/// The time of a key of the index (`None` for an entry that nobody may take), and the entry's own key.
pub(super) fn parse_due_key(key: &[u8]) -> Result<(Option<DateTime<Utc>>, &[u8]), Unreadable> {
    let broken = || Unreadable::new("a key of the index of due entries cannot be read");
    let (time, entry) = key.split_first_chunk::<DUE_TIME_BYTES>().ok_or_else(broken)?;
    if *time == NEVER {
        return Ok((None, entry));
    }
    let (mut seconds, mut nanoseconds) = ([0; 8], [0; 4]);
    seconds.copy_from_slice(&time[..8]);
    nanoseconds.copy_from_slice(&time[8..]);
    let seconds = (u64::from_be_bytes(seconds) ^ SIGN).cast_signed();
    let at = DateTime::from_timestamp(seconds, u32::from_be_bytes(nanoseconds)).ok_or_else(broken)?;
    Ok((Some(at), entry))
}

const SIGN: u64 = 1 << 63;

fn due_time(at: DateTime<Utc>) -> [u8; DUE_TIME_BYTES] {
    let mut time = [0; DUE_TIME_BYTES];
    time[..8].copy_from_slice(&(at.timestamp().cast_unsigned() ^ SIGN).to_be_bytes());
    time[8..].copy_from_slice(&at.timestamp_subsec_nanos().to_be_bytes());
    time
}

/// What the keys of all versions of a paper begin with; these order as identifiers do.
pub(super) fn paper_prefix(id: &ArxivId) -> Vec<u8> {
    let (year, month) = id.year_month();
    let mut key = year.to_be_bytes().to_vec();
    key.push(month);
    key.extend(id.number().to_be_bytes());
    if id.is_old() {
        let text = id.to_string();
        key.extend(text.split('/').next().unwrap_or_default().bytes());
    }
    key.push(0);
    key
}

/// The key of a version of a paper.
pub(super) fn paper_key(id: &VersionedId) -> Vec<u8> {
    let mut key = paper_prefix(&id.id);
    key.extend(id.version.to_be_bytes());
    key
}

/// The part of a paper's key that all its versions share.
pub(super) fn prefix_of_paper_key(key: &[u8]) -> &[u8] {
    &key[..key.len().saturating_sub(size_of::<u16>())]
}

/// What the keys of all documents of a kind begin with.
pub(super) fn document_prefix(kind: DocumentKind) -> Vec<u8> {
    // Numbers of their own, which stay when the list of kinds changes.
    vec![match kind {
        DocumentKind::Coverage => 1,
        DocumentKind::Gate => 2,
        DocumentKind::Slot => 3,
        DocumentKind::Run => 4,
        DocumentKind::Suppression => 5,
        DocumentKind::Note => 6,
    }]
}

/// The key of a document.
pub(super) fn document_key(kind: DocumentKind, key: &str) -> Vec<u8> {
    [document_prefix(kind), text_key(key)].concat()
}

/// The key of a chunk of what lies under `key` in the tree with the number `tree`.
pub(super) fn chunk_key(tree: u8, key: &[u8], index: u32) -> Vec<u8> {
    [&[tree][..], key, &index.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> DigestId {
        text.parse().unwrap()
    }

    fn check_order(name: &str, keys: &[Vec<u8>]) {
        assert!(keys.is_sorted_by(|a, b| a < b), "{name}: {keys:x?}");
    }

    #[test]
    fn keys_order_as_the_things_do() {
        let papers: Vec<ArxivId> = [
            "hep-th/9108001",
            "math/9901001",
            "hep-th/9912999",
            "hep-ph/0703001",
            "hep-th/0703001",
            "0704.0001",
            "1412.9999",
            "1501.00001",
            "2602.00009",
            "2602.12345",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        assert!(papers.is_sorted());
        check_order("papers", &papers.iter().map(paper_prefix).collect::<Vec<_>>());
        let entries = ["ana#1", "ana#2", "ana#256", "ana.b#1", "ana2#1", "anb#7"].map(digest);
        assert!(entries.is_sorted());
        check_order("entries", &entries.iter().map(entry_key).collect::<Vec<_>>());
        let long = digest(&format!("{}#1", "x".repeat(300)));
        let at = |seconds, nanoseconds| DateTime::from_timestamp(seconds, nanoseconds).unwrap();
        check_order(
            "due",
            &[
                due_key(Some(at(-5, 0)), &entries[5]),
                due_key(Some(at(9, 0)), &entries[1]),
                due_key(Some(at(9, 1)), &entries[0]),
                due_key(Some(at(9, 1)), &entries[4]),
                due_key(Some(at(9, 1)), &long),
                due_end(at(9, 1)),
                due_key(Some(at(9, 2)), &entries[0]),
                due_key(Some(at(1 << 33, 0)), &entries[0]),
                due_end(DateTime::<Utc>::MAX_UTC),
                due_key(None, &entries[0]),
            ],
        );
    }

    #[test]
    fn a_key_of_the_index_gives_back_its_time_and_entry() {
        for at in [
            Some(DateTime::<Utc>::MAX_UTC),
            Some(DateTime::<Utc>::MIN_UTC),
            DateTime::from_timestamp(-1, 7),
            None,
        ] {
            let id = digest("ana@example.net#3");
            assert_eq!(parse_due_key(&due_key(at, &id)), Ok((at, &entry_key(&id)[..])));
        }
        assert!(parse_due_key(b"short").is_err());
        assert!(parse_due_key(&[0x81; 20]).is_err());
    }

    #[test]
    fn long_and_odd_names_have_short_keys_of_their_own() {
        let id = |text: String| SubscriberId(text.into());
        assert_eq!(key_text(&subscriber_key(&id("ana".into()))), Some("ana"));
        let long = [id("x".repeat(256)), id("x".repeat(257)), id("a\0b".into())].map(|id| subscriber_key(&id));
        for key in &long {
            assert_eq!((key.len(), key_text(key)), (33, None));
        }
        assert!(long[0] != long[1]);
    }

    #[test]
    fn a_body_is_cut_only_where_it_must_be_and_comes_back_whole() {
        for (n_bytes, n_chunks) in [
            (0, 0),
            (1, 0),
            (VALUE_BYTES_MAX, 0),
            (VALUE_BYTES_MAX + 1, 2),
            (3 * VALUE_BYTES_MAX, 3),
            (200_000, 49),
        ] {
            let body: Vec<u8> = (0..n_bytes).map(|n| (n % 251) as u8).collect();
            let (value, chunks) = cut(7, &body).unwrap();
            assert!(
                chunks
                    .iter()
                    .chain([&value])
                    .all(|v| v.len() <= VALUE_BYTES_MAX + HEAD_BYTES)
            );
            let head = Head::parse(&value).unwrap();
            assert_eq!((head.revision, head.n_chunks), (7, n_chunks), "{n_bytes}");
            let mut whole = head.inline.to_vec();
            for chunk in &chunks {
                whole.extend(chunk_content(chunk).unwrap());
            }
            assert!(whole == body, "{n_bytes}");
        }
        assert!(cut(1, &vec![0; BODY_BYTES_MAX + 1]).is_none());
        assert!(Head::parse(b"short").is_err() && Head::parse(&[9; 20]).is_err() && chunk_content(b"").is_err());
        assert_eq!(decode_number(&encode_number(77)), Ok(77));
        assert!(decode_number(&[1, 2]).is_err());
    }
}
