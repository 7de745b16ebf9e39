//! The bytes of each kind of value but outbox entries.
//!
//! What a subscriber has seen is packed: identifiers in order, each as its distance from the one before in as few bits
//! as such distances need (Rice, 1979), and one more bit that says whether the digest is another one than before; only
//! then its difference follows. All else is JSON without empty fields.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::{Unreadable, bits};
use crate::{
    model::{ArxivId, Pair, Paper, Pending, Queued, Replacement, Settled, SubscriberId, SubscriberState, Welcome},
    store::StoredPaper,
};

/// A subscriber's state without what was seen.
#[derive(Serialize, Deserialize)]
struct Rest {
    id: SubscriberId,
    latest_digest: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pairs: Vec<Pair>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pruned_to: Option<ArxivId>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pending: BTreeMap<ArxivId, Pending>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    queued: BTreeMap<ArxivId, Queued>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    settled: BTreeMap<ArxivId, Settled>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    versions: BTreeMap<ArxivId, (u16, DateTime<Utc>)>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    replacements: BTreeMap<ArxivId, Replacement>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latest_enqueued: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    absent: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paused_until: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused_on: Vec<NaiveDate>,
    #[serde(default, skip_serializing_if = "Welcome::is_never")]
    welcome: Welcome,
}

/// The body of a subscriber's state.
pub(in crate::store) fn encode_subscriber(state: &SubscriberState) -> Result<Vec<u8>, Unreadable> {
    // Every field is named, so that a new one cannot be forgotten here.
    let SubscriberState {
        id,
        latest_digest,
        pairs,
        pruned_to,
        seen,
        pending,
        queued,
        settled,
        versions,
        replacements,
        latest_enqueued,
        absent,
        paused_until,
        refused_on,
        welcome,
    } = state.clone();
    let rest = to_json(&Rest {
        id,
        latest_digest,
        pairs,
        pruned_to,
        pending,
        queued,
        settled,
        versions,
        replacements,
        latest_enqueued,
        absent,
        paused_until,
        refused_on,
        welcome,
    })?;
    let mut body = Vec::with_capacity(rest.len() + 3 * seen.len() + 16);
    put_number(&mut body, rest.len() as u64);
    body.extend(rest);
    let (packable, others): (Vec<_>, Vec<_>) = seen.iter().partition(|(id, _)| id.packed().is_some());
    put_number(&mut body, packable.len() as u64);
    if let Some((first, _)) = packable.first() {
        // The first stands by itself: its distance from nothing would spoil the mean.
        let first = first.packed().unwrap_or_default();
        let last = packable.last().and_then(|(id, _)| id.packed()).unwrap_or_default();
        let exponent = bits::exponent(u64::from(last.saturating_sub(first)), packable.len());
        put_number(&mut body, u64::from(first));
        put_number(&mut body, u64::from(exponent));
        let mut packed = bits::Writer::default();
        let (mut last_id, mut last_digest) = (first, 0);
        for (id, &digest) in packable {
            let id = id.packed().unwrap_or_default();
            packed.put_distance(id.wrapping_sub(last_id), exponent);
            let changes = digest != last_digest;
            packed.put(u64::from(changes), 1);
            if changes {
                packed.put_small(zigzag(i64::from(digest) - i64::from(last_digest)));
            }
            (last_id, last_digest) = (id, digest);
        }
        let packed = packed.finish();
        put_number(&mut body, packed.len() as u64);
        body.extend(packed);
    }
    put_number(&mut body, others.len() as u64);
    for (id, &digest) in others {
        let text = id.to_string();
        put_number(&mut body, text.len() as u64);
        body.extend(text.bytes());
        put_number(&mut body, u64::from(digest));
    }
    Ok(body)
}

/// The inverse of [`encode_subscriber`].
pub(in crate::store) fn decode_subscriber(body: &[u8]) -> Result<SubscriberState, Unreadable> {
    let mut reader = Reader(body);
    let n_bytes = reader.number()?;
    let Rest {
        id,
        latest_digest,
        pairs,
        pruned_to,
        pending,
        queued,
        settled,
        versions,
        replacements,
        latest_enqueued,
        absent,
        paused_until,
        refused_on,
        welcome,
    } = from_json("a subscriber's state", reader.bytes(n_bytes)?)?;
    let mut seen = BTreeMap::new();
    let n_packed = reader.number()?;
    if n_packed > 0 {
        seen = unpack(&mut reader, n_packed).ok_or_else(broken)?;
    }
    for _ in 0..reader.number()? {
        let n_bytes = reader.number()?;
        let text = std::str::from_utf8(reader.bytes(n_bytes)?).map_err(|_| broken())?;
        let digest = u32::try_from(reader.number()?).map_err(|_| broken())?;
        seen.insert(text.parse().map_err(|_| broken())?, digest);
    }
    if !reader.0.is_empty() {
        return Err(broken());
    }
    Ok(SubscriberState {
        id,
        latest_digest,
        pairs,
        pruned_to,
        seen,
        pending,
        queued,
        settled,
        versions,
        replacements,
        latest_enqueued,
        absent,
        paused_until,
        refused_on,
        welcome,
    })
}

/// The identifiers that can be packed, with their digests.
fn unpack(reader: &mut Reader<'_>, n_packed: u64) -> Option<BTreeMap<ArxivId, u32>> {
    let mut last_id = u32::try_from(reader.number().ok()?).ok()?;
    let exponent = u32::try_from(reader.number().ok()?).ok().filter(|n| *n < u32::BITS)?;
    let n_bytes = reader.number().ok()?;
    let mut bits = bits::Reader::new(reader.bytes(n_bytes).ok()?);
    let mut last_digest = 0_u32;
    let mut seen = Vec::new();
    for _ in 0..n_packed {
        last_id = last_id.checked_add(bits.distance(exponent)?)?;
        if bits.take(1)? == 1 {
            let change = unzigzag(bits.small()?);
            last_digest = u32::try_from(i64::from(last_digest).checked_add(change)?).ok()?;
        }
        seen.push((ArxivId::from_packed(last_id)?, last_digest));
    }
    // They come in order, so that this makes the whole tree at once.
    Some(seen.into_iter().collect())
}

/// A paper with the moments at which it was fetched first and last.
#[derive(Serialize, Deserialize)]
struct PaperBody<P> {
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    paper: P,
}

/// The body of a paper.
pub(in crate::store) fn encode_paper(
    paper: &Paper,
    first_fetched: DateTime<Utc>,
    last_fetched: DateTime<Utc>,
) -> Result<Vec<u8>, Unreadable> {
    to_json(&PaperBody {
        first: first_fetched,
        last: last_fetched,
        paper,
    })
}

/// The inverse of [`encode_paper`].
pub(in crate::store) fn decode_paper(body: &[u8]) -> Result<StoredPaper, Unreadable> {
    let PaperBody { first, last, paper } = from_json("a paper", body)?;
    Ok(StoredPaper {
        paper,
        first_fetched: first,
        last_fetched: last,
    })
}

/// The body of a document: its key too, since a long one is not in the key of the store.
pub(in crate::store) fn encode_document(key: &str, value: &serde_json::Value) -> Result<Vec<u8>, Unreadable> {
    to_json(&(key, value))
}

/// The inverse of [`encode_document`].
pub(in crate::store) fn decode_document(body: &[u8]) -> Result<(String, serde_json::Value), Unreadable> {
    from_json("a document", body)
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, Unreadable> {
    serde_json::to_vec(value).map_err(|error| Unreadable(format!("it cannot be written as JSON ({error})")))
}

pub(super) fn from_json<'b, T: Deserialize<'b>>(what: &str, body: &'b [u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(body).map_err(|error| Unreadable(format!("{what} cannot be read ({error})")))
}

fn broken() -> Unreadable {
    Unreadable::new("a stored value ends too early or holds an impossible number")
}

/// Seven bits a byte, lowest first; the top bit says that more follow.
pub(super) fn put_number(body: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        // The mask leaves seven bits.
        body.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    body.push(number as u8);
}

/// Small numbers of either sign as small numbers.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn number(&mut self) -> Result<u64, Unreadable> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or_else(broken)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(broken())
    }

    pub(super) fn bytes(&mut self, n_bytes: u64) -> Result<&'b [u8], Unreadable> {
        let (bytes, rest) = usize::try_from(n_bytes)
            .ok()
            .and_then(|n_bytes| self.0.split_at_checked(n_bytes))
            .ok_or_else(broken)?;
        self.0 = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Definition, Generation, Term};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn arbitrary_id() -> impl Strategy<Value = ArxivId> {
        prop_oneof![
            4 => (2015_u16..2040, 1_u8..=12, 0_u32..100_000)
                .prop_map(|(year, month, number)| ArxivId::from_parts(year, month, number).unwrap()),
            1 => (92_u16..100, 1_u8..=12, 0_u16..1000)
                .prop_map(|(year, month, number)| format!("hep-th/{year}{month:02}{number:03}").parse().unwrap()),
        ]
    }

    prop_compose! {
        fn arbitrary_state()(
            name in "\\PC{0,40}",
            seen in prop::collection::btree_map(arbitrary_id(), any::<u32>(), 0..80),
            pending in prop::collection::btree_map(arbitrary_id(), 0_i64..4_000_000_000, 0..9),
            queued in prop::collection::btree_map(arbitrary_id(), any::<u32>(), 0..9),
            pruned_to in prop::option::of(arbitrary_id()),
            keyword in "\\PC{0,20}",
            absent in any::<bool>(),
            paused in prop::option::of(0_i64..4_000_000_000),
        ) -> SubscriberState {
            SubscriberState {
                latest_digest: seen.len() as u32,
                pairs: vec![Pair {
                    generations: vec![Generation {
                        definition: Definition::unrestricted(Term::phrase(keyword.as_str())),
                        since: at(1),
                        floor: pruned_to.clone(),
                    }],
                    keyword,
                    absent,
                }],
                settled: queued.keys().map(|id| (id.clone(), Settled::Withdrawn)).collect(),
                versions: queued.keys().map(|id| (id.clone(), (3, at(9)))).collect(),
                replacements: queued
                    .iter()
                    .map(|(id, digest)| (id.clone(), Replacement { version: 4, since: at(7), digest: Some(*digest) }))
                    .collect(),
                queued: queued.into_iter().map(|(id, digest)| (id, Queued { digest, since: at(5) })).collect(),
                pending: pending.into_iter().map(|(id, since)| (id, Pending { since: at(since) })).collect(),
                pruned_to,
                seen,
                latest_enqueued: paused.map(at),
                absent,
                paused_until: paused.map(at),
                refused_on: paused.map(|paused| at(paused).date_naive()).into_iter().collect(),
                welcome: if absent { Welcome::By(1) } else { Welcome::Owed },
                ..SubscriberState::new(SubscriberId(name.into()))
            }
        }
    }

    proptest! {
        #[test]
        fn a_subscribers_state_comes_back_as_it_was(state in arbitrary_state()) {
            prop_assert_eq!(decode_subscriber(&encode_subscriber(&state).unwrap()).unwrap(), state);
        }

        #[test]
        fn hostile_bytes_are_refused_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..500, at in 0_usize..500) {
            let _ = decode_subscriber(&bytes);
            let mut state = SubscriberState::new(SubscriberId("ana".into()));
            state.seen = (1..50).map(|n| (ArxivId::from_parts(2026, 2, n * 7).unwrap(), n)).collect();
            let body = encode_subscriber(&state).unwrap();
            prop_assert!(decode_subscriber(&body[..cut.min(body.len() - 1)]).is_err());
            bytes.splice(0..0, body.iter().copied());
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 0x55;
            let _ = decode_subscriber(&bytes);
        }

        #[test]
        fn numbers_of_both_signs_come_back(number in any::<i64>()) {
            let mut body = Vec::new();
            put_number(&mut body, zigzag(number));
            prop_assert_eq!(unzigzag(Reader(&body).number().unwrap()), number);
        }
    }

    /// 600 papers of 60 digests, spread evenly over the given number of identifiers, with late ones among them.
    fn seen(n_identifiers: u32) -> SubscriberState {
        let mut state = SubscriberState::new(SubscriberId("ana@example.net".into()));
        state.latest_digest = 60;
        state.pairs = vec![Pair {
            keyword: "graph neural network".into(),
            generations: vec![Generation {
                definition: Definition::unrestricted(Term::phrase("graph neural network")),
                since: at(1_770_000_000),
                floor: "2602.00001".parse().ok(),
            }],
            absent: false,
        }];
        for n in 0..600 {
            let place = n * n_identifiers / 600 + n * 7919 % 31;
            let id = ArxivId::from_parts(2025, 1 + (place / 24_000) as u8, 1 + place % 24_000).unwrap();
            // Every twentieth was indexed late and came three digests after its neighbours.
            state.seen.insert(id, 1 + n / 10 + if n % 20 == 19 { 3 } else { 0 });
        }
        state
    }

    #[test]
    fn six_hundred_seen_papers_take_less_than_1100_bytes() {
        for (span, n_identifiers) in [("two months", 48_000), ("a year", 280_000)] {
            let state = seen(n_identifiers);
            assert_eq!(state.seen.len(), 600);
            let whole = encode_subscriber(&state).unwrap().len();
            let without = encode_subscriber(&SubscriberState {
                seen: BTreeMap::new(),
                ..state
            });
            let without = without.unwrap().len();
            println!(
                "600 seen papers over {span}: {} bytes, the rest {without} bytes",
                whole - without
            );
            assert!(whole - without < 1100 && whole < 1400, "{span}: {whole}");
        }
    }

    #[test]
    fn what_is_not_json_of_its_kind_is_named() {
        assert!(decode_paper(b"[]").unwrap_err().0.contains("a paper"));
        assert!(decode_document(b"7").unwrap_err().0.contains("a document"));
        let value = serde_json::json!({"n": [1, null]});
        assert_eq!(
            decode_document(&encode_document("k", &value).unwrap()),
            Ok(("k".into(), value))
        );
    }
}
