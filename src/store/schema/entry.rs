//! The bytes of an outbox entry: first what changes with each step on its way, then the digest, which never does.
//!
//! The digest is by far the longer part, and four times on its way something about an entry is written. So the parts can
//! lie apart: [`encode_onto`] makes the digest's bytes only where others are stored.

use std::{borrow::Cow, cell::RefCell, io::Read as _};

use chrono::{DateTime, Utc};
use flate2::{Compress, CompressError, Compression, FlushCompress, Status, read::DeflateDecoder};
use ring::digest::{SHA256, digest as hash};
use serde::{Deserialize, Serialize};

use super::{
    BODY_BYTES_MAX, Unreadable,
    codec::{Reader, from_json, put_number, to_json},
};
use crate::model::{Attempt, DigestRecord, EntryState, OutboxEntry};

/// The first byte of a body in two parts, of which the first is JSON: that of an entry on its way, written often.
const IN_PARTS: u8 = 2;
/// The first byte of one whose first part is deflated too: that of an entry that is only kept.
const IN_PARTS_DEFLATED: u8 = 3;
/// The first byte of a body that is deflated as a whole, as it was written before. JSON begins with a brace.
const DEFLATED: u8 = 1;
/// How much of the hash of the digest's JSON tells it from another, in bytes.
const SUM_BYTES: usize = 16;

const WHAT: &str = "an outbox entry";

type Sum = [u8; SUM_BYTES];

/// An entry in two parts, to be stored one behind the other.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Parts {
    /// How far the entry is on its way.
    pub(in crate::store) course: Vec<u8>,
    /// The digest; `None`: what is stored is the same.
    pub(in crate::store) digest: Option<Vec<u8>>,
}

/// What is known of a stored entry from its first part.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Stem {
    /// When it may be taken, as [`OutboxEntry::due_at`] says.
    pub(in crate::store) due_at: Option<DateTime<Utc>>,
    /// Which digest follows.
    sum: Sum,
}

/// An entry without its digest.
#[derive(Serialize, Deserialize)]
struct Course {
    message_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    state: EntryState,
    next_attempt: DateTime<Utc>,
    n_attempts: u32,
    n_unconfirmed: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Attempt>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_released: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_half: bool,
}

/// The body of an entry.
pub(in crate::store) fn encode_entry(entry: &OutboxEntry) -> Result<Vec<u8>, Unreadable> {
    let Parts { course, digest } = encode_onto(None, entry)?;
    Ok([course, digest.unwrap_or_default()].concat())
}

/// The parts of an entry that is to replace `stored`.
pub(in crate::store) fn encode_onto(stored: Option<&Stem>, entry: &OutboxEntry) -> Result<Parts, Unreadable> {
    // Every field is named, so that a new one cannot be forgotten here.
    let OutboxEntry {
        digest,
        message_id,
        sha256,
        fingerprint,
        state,
        next_attempt,
        n_attempts,
        n_unconfirmed,
        attempts,
        is_released,
        is_half,
    } = entry;
    let json = to_json(&Course {
        message_id: message_id.clone(),
        sha256: sha256.clone(),
        fingerprint: fingerprint.clone(),
        state: state.clone(),
        next_attempt: *next_attempt,
        n_attempts: *n_attempts,
        n_unconfirmed: *n_unconfirmed,
        attempts: attempts.clone(),
        is_released: *is_released,
        is_half: *is_half,
    })?;
    let digest = to_json(digest)?;
    let sum = sum(&digest);
    let (form, body) = match entry.is_active() {
        true => (IN_PARTS, json),
        false => (IN_PARTS_DEFLATED, deflated(&json)?),
    };
    let mut course = vec![form];
    course.extend(sum);
    put_number(&mut course, body.len() as u64);
    course.extend(body);
    let digest = match stored {
        Some(stored) if stored.sum == sum => None,
        _ => Some(deflated(&digest)?),
    };
    Ok(Parts { course, digest })
}

/// What the beginning of a body tells; `None` if it is not one in two parts.
pub(in crate::store) fn stem(beginning: &[u8]) -> Result<Option<Stem>, Unreadable> {
    let Some(InParts { sum, course, .. }) = in_parts(beginning)? else {
        return Ok(None);
    };
    let course: Course = from_json(WHAT, &course)?;
    Ok(Some(Stem {
        due_at: course.state.due_at(course.next_attempt),
        sum,
    }))
}

/// Whether a body is that of an entry that is no longer on its way, as far as its first byte tells.
pub(in crate::store) fn is_kept(body: &[u8]) -> bool {
    body.first() == Some(&IN_PARTS_DEFLATED)
}

/// The inverse of [`encode_entry`].
pub(in crate::store) fn decode_entry(body: &[u8]) -> Result<OutboxEntry, Unreadable> {
    let Some(parts) = in_parts(body)? else {
        return match body.split_first() {
            Some((&DEFLATED, deflated)) => from_json(WHAT, &inflated(deflated)?),
            _ => from_json(WHAT, body),
        };
    };
    let Course {
        message_id,
        sha256,
        fingerprint,
        state,
        next_attempt,
        n_attempts,
        n_unconfirmed,
        attempts,
        is_released,
        is_half,
    } = from_json(WHAT, &parts.course)?;
    let json = inflated(parts.digest)?;
    if sum(&json) != parts.sum {
        return Err(Unreadable(format!("{WHAT} holds another digest than its own")));
    }
    let digest: DigestRecord = from_json(WHAT, &json)?;
    Ok(OutboxEntry {
        digest,
        message_id,
        sha256,
        fingerprint,
        state,
        next_attempt,
        n_attempts,
        n_unconfirmed,
        attempts,
        is_released,
        is_half,
    })
}

/// A body in two parts.
struct InParts<'b> {
    sum: Sum,
    /// JSON.
    course: Cow<'b, [u8]>,
    /// Deflated JSON.
    digest: &'b [u8],
}

/// The parts of a body, if it is one in parts.
fn in_parts(body: &[u8]) -> Result<Option<InParts<'_>>, Unreadable> {
    let Some((&form @ (IN_PARTS | IN_PARTS_DEFLATED), rest)) = body.split_first() else {
        return Ok(None);
    };
    let (sum, rest) = rest
        .split_first_chunk()
        .ok_or_else(|| Unreadable(format!("{WHAT} ends too early")))?;
    let mut reader = Reader(rest);
    let n_bytes = reader.number()?;
    let course = reader.bytes(n_bytes)?;
    let course = match form {
        IN_PARTS => Cow::Borrowed(course),
        _ => Cow::Owned(inflated(course)?),
    };
    Ok(Some(InParts {
        sum: *sum,
        course,
        digest: reader.0,
    }))
}

fn sum(json: &[u8]) -> Sum {
    let mut sum = [0; SUM_BYTES];
    sum.copy_from_slice(&hash(&SHA256, json).as_ref()[..SUM_BYTES]);
    sum
}

fn inflated(deflated: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut plain = Vec::new();
    DeflateDecoder::new(deflated)
        .take(BODY_BYTES_MAX as u64)
        .read_to_end(&mut plain)
        .map_err(|error| Unreadable(format!("{WHAT} cannot be read ({error})")))?;
    Ok(plain)
}

fn deflated(plain: &[u8]) -> Result<Vec<u8>, Unreadable> {
    thread_local! {
        /// Making one takes longer than deflating an entry.
        static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::default(), false));
    }
    DEFLATE
        .with_borrow_mut(|deflate| deflate_with(deflate, plain))
        .map_err(|error| Unreadable(format!("{WHAT} cannot be written ({error})")))
}

fn deflate_with(deflate: &mut Compress, plain: &[u8]) -> Result<Vec<u8>, CompressError> {
    deflate.reset();
    let mut deflated = Vec::with_capacity(64 + plain.len());
    let mut rest = plain;
    loop {
        let n_before = deflate.total_in();
        let status = deflate.compress_vec(rest, &mut deflated, FlushCompress::Finish)?;
        if status == Status::StreamEnd {
            return Ok(deflated);
        }
        // It has taken at most what there is.
        rest = &rest[(deflate.total_in() - n_before) as usize..];
        deflated.reserve(deflated.len().max(64));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::WorkerId,
        store::contract::{at, entry},
    };

    #[test]
    fn an_entry_comes_back_from_every_form_that_was_ever_written() {
        let mut accepted = entry("bo#3", at(1));
        let reply = "250 ok".into();
        accepted.state = EntryState::Accepted { at: at(2), reply };
        let body = encode_entry(&accepted).unwrap();
        assert!(is_kept(&body));
        assert_eq!(decode_entry(&body), Ok(accepted));
        let mut entry = entry("ana#7", at(5));
        entry.sha256 = Some("ab".into());
        entry.lease(&WorkerId("w".into()), at(9));
        let json = serde_json::to_vec(&entry).unwrap();
        let as_a_whole = [&[DEFLATED][..], &deflated(&json).unwrap()].concat();
        for body in [json, as_a_whole, encode_entry(&entry).unwrap()] {
            assert_eq!(decode_entry(&body), Ok(entry.clone()));
        }
    }

    #[test]
    fn a_digest_is_made_into_bytes_only_where_another_is_stored() {
        let mut entry = entry("ana#7", at(5));
        let new = encode_onto(None, &entry).unwrap();
        assert!(new.digest.is_some() && !is_kept(&new.course));
        let stored = stem(&new.course).unwrap().unwrap();
        assert_eq!(stored.due_at, Some(at(5)));
        entry.lease(&WorkerId("w".into()), at(9));
        let leased = encode_onto(Some(&stored), &entry).unwrap();
        assert_eq!(leased.digest, None);
        assert_eq!(stem(&leased.course).unwrap().unwrap().due_at, Some(at(9)));
        let body = [leased.course, new.digest.unwrap()].concat();
        assert_eq!(decode_entry(&body).as_ref(), Ok(&entry));
        entry.digest.address = "bo@example.net".into();
        let other = encode_onto(Some(&stored), &entry).unwrap();
        assert!(other.digest.is_some());
        // A course that lies before the digest of another entry.
        let mixed = [&other.course[..], &body[body.len() - 9..]].concat();
        assert!(decode_entry(&mixed).is_err());
    }

    #[test]
    fn what_is_no_entry_is_named_and_cut_ones_are_refused() {
        let body = encode_entry(&entry("ana#7", at(5))).unwrap();
        for broken in [
            &b"{}"[..],
            b"",
            &[DEFLATED],
            &[IN_PARTS],
            &body[..20],
            &body[..body.len() - 3],
        ] {
            let Unreadable(why) = decode_entry(broken).unwrap_err();
            assert!(why.contains("entry") || why.contains("stored value"), "{why}");
        }
        assert_eq!(stem(b"{}"), Ok(None));
        assert!(stem(&[IN_PARTS; 30]).is_err());
    }

    proptest! {
        /// What cannot be made shorter too, and one after the other through the same deflater.
        #[test]
        fn what_is_deflated_comes_back(plain in prop::collection::vec(any::<u8>(), 0..5_000)) {
            for plain in [&plain[..], b"", &plain[..plain.len() / 2]] {
                prop_assert_eq!(inflated(&deflated(plain).unwrap()).unwrap(), plain);
            }
        }
    }
}
