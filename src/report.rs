//! Mails to the operator: once when something needs a person, and once when it is well again.
//!
//! What is in trouble is gathered from the store; what was told already is remembered there. The mail goes out
//! the way that digests do; a trouble of that way itself is told as soon as the way is open again.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    fetch::gate::GateState,
    model::{Ending, EntryState, IncompleteKeyword, OutboxEntry, Outcome},
    render,
    store::{
        Batch, DocumentKind, EntryFilter, EntryPages, Store, StoreError, Versioned, documents, exports, recovery,
        relays,
    },
};

const NOTE: &str = "operator";
/// A mail to the operator that was not accepted is tried again after this long.
const RETRY: TimeDelta = TimeDelta::hours(1);
/// How many troubles one mail lists.
const LINES_MAX: usize = 50;
/// How many troubles are remembered.
const TOLD_MAX: usize = 20_000;
/// The longest that the call of a dead-man switch may take.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What is in trouble, the same as long as it lasts.
    pub key: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// What is wrong and what can be done, in one line.
    pub what: String,
    /// Whether it can end, so that its end is told too.
    pub can_end: bool,
}

/// What the operator is to be told, and what to remember once it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What the mail says.
    pub mail: render::Notice,
    told: BTreeMap<String, Trouble>,
}

/// What the operator has been told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    told: BTreeMap<String, Trouble>,
    /// No mail before, since the last one was not accepted.
    next_try: Option<DateTime<Utc>>,
}

/// Everything that is in trouble now. `relays` are the names of the relays, where there are several; `incomplete` are the keywords that the latest fetch left incomplete; they
/// count when that has lasted longer than `after`.
pub async fn troubles(
    store: &dyn Store,
    gate: &GateState,
    incomplete: &[IncompleteKeyword],
    relays: &[String],
    after: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Vec<Trouble>, StoreError> {
    let mut troubles: Vec<Trouble> = incomplete
        .iter()
        .filter(|keyword| now - keyword.since >= after)
        .map(|keyword| Trouble {
            key: format!("keyword {}", keyword.keyword),
            since: keyword.since,
            what: format!(
                "the keyword {:?} could not be fetched completely: {}",
                keyword.keyword, keyword.why
            ),
            can_end: true,
        })
        .collect();
    if gate.forbidden {
        troubles.push(Trouble {
            key: "arxiv".to_owned(),
            since: gate.last_request.unwrap_or(now),
            what: format!(
                "{}; one request a day asks again. When arXiv's staff have answered, `paperround run --resume` goes on at once",
                gate.why.as_deref().unwrap_or("arXiv denied access")
            ),
            can_end: true,
        });
    }
    if let Some(what) = gate.clock_trouble() {
        troubles.push(Trouble {
            key: "clock".to_owned(),
            since: gate.last_request.unwrap_or(now),
            what,
            can_end: true,
        });
    }
    if let Some(recovery) = recovery::latest(store).await?.value {
        troubles.push(Trouble {
            key: format!("state restored {}", recovery.at.format("%F %H:%M UTC")),
            since: recovery.at,
            what: recovery.in_words(),
            can_end: false,
        });
    }
    if let Some((since, why)) = exports::latest(store).await?.failing
        && now - since >= after
    {
        troubles.push(Trouble {
            key: "export".to_owned(),
            since,
            what: format!("no export of the state can be made, so a damaged one could not be restored: {why}"),
            can_end: true,
        });
    }
    let mut relay = RelayTrouble::default();
    let mut pages = EntryPages::new(store, EntryFilter::default());
    while let Some(page) = pages.next().await? {
        for Versioned { value: entry, .. } in page {
            troubles.extend(digest_trouble(&entry));
            relay.look_at(entry, after, now);
        }
    }
    troubles.extend(relay.in_words(now));
    let of_relays = relays::troubles(store).await?;
    troubles.extend(
        of_relays
            .into_iter()
            .filter(|(name, _)| relays.contains(name))
            .filter(|(_, trouble)| trouble.needs_operator || now - trouble.since >= after)
            .map(|(name, trouble)| Trouble {
                key: format!("relay {name}"),
                since: trouble.since,
                what: format!(
                    "the relay {name} takes no mail, the others are used in its place. It said: {}",
                    trouble.why
                ),
                can_end: true,
            }),
    );
    Ok(troubles)
}

/// A digest that waits for the operator, or was given up.
fn digest_trouble(entry: &OutboxEntry) -> Option<Trouble> {
    let name = &entry.digest.id;
    let n_papers = entry.digest.papers().count();
    let last = entry.attempts.last();
    let (since, what, can_end) = match &entry.state {
        EntryState::Held => (
            last.map_or(entry.digest.frozen_at, |attempt| attempt.at),
            format!(
                "digest {name} is held: the relay may have taken it, but never said so. Look into its log, then \
                 `paperround outbox retry {name}` or `paperround outbox drop {name}`"
            ),
            true,
        ),
        EntryState::Ended {
            at,
            how: Ending::Undeliverable,
        } => (
            *at,
            format!(
                "digest {name} could not be delivered, its {n_papers} papers were given up: {}",
                last.map_or("", |attempt| reply(&attempt.outcome))
            ),
            false,
        ),
        EntryState::Due | EntryState::Leased(_) | EntryState::Accepted { .. } | EntryState::Ended { .. } => {
            return None;
        }
    };
    Some(Trouble {
        key: format!("digest {name}"),
        since,
        what,
        can_end,
    })
}

/// The relay refuses everything until something is changed, or has failed for too long: for each the digest that has
/// waited longest.
#[derive(Default)]
struct RelayTrouble {
    refused: Option<OutboxEntry>,
    failed: Option<OutboxEntry>,
}

impl RelayTrouble {
    fn look_at(&mut self, entry: OutboxEntry, after: TimeDelta, now: DateTime<Utc>) {
        if !entry.is_active() {
            return;
        }
        let longest = match entry.attempts.last().map(|attempt| &attempt.outcome) {
            Some(Outcome::Configuration { .. }) => &mut self.refused,
            Some(Outcome::TransientRelay { .. }) if now - tried_since(&entry, now) >= after => &mut self.failed,
            _ => return,
        };
        if longest
            .as_ref()
            .is_none_or(|other| tried_since(&entry, now) < tried_since(other, now))
        {
            *longest = Some(entry);
        }
    }

    fn in_words(self, now: DateTime<Utc>) -> Option<Trouble> {
        let (entry, words) = match self.refused {
            Some(entry) => (entry, "the relay takes no mail until something is changed"),
            None => (self.failed?, "the relay has been failing"),
        };
        let said = reply(&entry.attempts.last()?.outcome);
        Some(Trouble {
            key: "relay".to_owned(),
            since: tried_since(&entry, now),
            what: format!("{words}; everything waits, nothing is lost. It said: {said}"),
            can_end: true,
        })
    }
}

/// Since when a digest is tried, as far as is remembered.
fn tried_since(entry: &OutboxEntry, now: DateTime<Utc>) -> DateTime<Utc> {
    entry.attempts.first().map_or(now, |attempt| attempt.at)
}

fn reply(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Accepted { reply }
        | Outcome::TransientRecipient { reply, .. }
        | Outcome::TransientRelay { reply, .. }
        | Outcome::PermanentRecipient { reply, .. }
        | Outcome::PermanentMessage { reply, .. }
        | Outcome::Configuration { reply, .. }
        | Outcome::Unconfirmed { reply } => reply,
    }
}

/// What is news to the operator; `None` when there is nothing, or the last mail was refused a short while ago.
pub async fn notice(
    store: &dyn Store,
    troubles: Vec<Trouble>,
    now: DateTime<Utc>,
) -> Result<Option<Notice>, StoreError> {
    let memory: Versioned<Memory> = documents::load(store, DocumentKind::Note, NOTE).await?;
    if memory.value.next_try.is_some_and(|next| next > now) {
        return Ok(None);
    }
    Ok(compose(&memory.value.told, troubles))
}

/// Remembers that a notice was accepted, or that it is to be tried again later.
pub async fn remember(
    store: &dyn Store,
    notice: Notice,
    is_accepted: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut memory: Versioned<Memory> = documents::load(store, DocumentKind::Note, NOTE).await?;
    if is_accepted {
        memory.value = Memory {
            told: notice.told,
            next_try: None,
        };
    } else {
        memory.value.next_try = Some(now + RETRY);
    }
    let document = documents::to_write(DocumentKind::Note, NOTE, &memory)?;
    store
        .commit(Batch {
            documents: vec![document],
            ..Batch::default()
        })
        .await
}

fn compose(told: &BTreeMap<String, Trouble>, troubles: Vec<Trouble>) -> Option<Notice> {
    let present: BTreeMap<String, Trouble> = troubles
        .into_iter()
        .take(TOLD_MAX)
        .map(|trouble| (trouble.key.clone(), trouble))
        .collect();
    let new: Vec<&Trouble> = present
        .values()
        .filter(|trouble| !told.contains_key(&trouble.key))
        .collect();
    let well: Vec<&Trouble> = told
        .values()
        .filter(|trouble| trouble.can_end && !present.contains_key(&trouble.key))
        .collect();
    if new.is_empty() && well.is_empty() {
        return None;
    }
    let subject = match (new.as_slice(), well.as_slice()) {
        ([], _) => "Paperround: well again".to_owned(),
        ([one], _) => format!("Paperround needs you: {}", one.key),
        (several, _) => format!("Paperround needs you: {} troubles", several.len()),
    };
    let lead = match (new.as_slice(), well.as_slice()) {
        ([], [one]) => one_line(&format!("Over: {}", one.key)),
        ([], over) => format!("{} troubles are over", over.len()),
        ([one, ..], _) => one_line(&one.what),
    };
    let headline = if new.is_empty() { "Well again" } else { "Needs you" };
    let mut blocks: Vec<render::Block> = [("In trouble", &new), ("Well again", &well)]
        .into_iter()
        .filter(|(_, troubles)| !troubles.is_empty())
        .map(|(heading, troubles)| block(heading, troubles))
        .collect();
    let n_still = present.len() - new.len();
    let mut closing =
        vec!["`paperround status` shows all of it. Each trouble is told once, and once when it is over.".to_owned()];
    if n_still > 0 {
        closing.insert(0, format!("Told before and still so: {n_still}."));
    }
    blocks.push(render::Block {
        heading: None,
        paragraphs: closing,
    });
    Some(Notice {
        mail: render::Notice {
            subject,
            lead,
            headline: headline.to_owned(),
            blocks,
            why: "You get this because report.to names your address.".to_owned(),
        },
        told: present,
    })
}

fn block(heading: &str, troubles: &[&Trouble]) -> render::Block {
    let shown = troubles.iter().take(LINES_MAX);
    let mut paragraphs: Vec<String> = shown
        .map(|trouble| {
            format!(
                "Since {}: {}",
                trouble.since.format("%F %H:%M UTC"),
                one_line(&trouble.what)
            )
        })
        .collect();
    if troubles.len() > LINES_MAX {
        paragraphs.push(format!("And {} more.", troubles.len() - LINES_MAX));
    }
    let noun = if troubles.len() == 1 { "trouble" } else { "troubles" };
    render::Block {
        heading: Some((heading.to_owned(), format!("{} {noun}", troubles.len()))),
        paragraphs,
    }
}

/// Servers' words go into the text, so nothing in them may look like another line of it.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Calls the address of a dead-man switch. It works like a password, so the error never holds it.
///
/// # Errors
/// In words, when no answer of success came within ten seconds.
pub async fn ping(address: &str) -> Result<(), String> {
    // Repeated installation is an error that means "already there", which is all that is needed.
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    let call = async {
        let client = reqwest::Client::builder().timeout(PING_TIMEOUT).build()?;
        client.get(address).send().await?.error_for_status()
    };
    match call.await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.without_url().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{RelayFailure, RelayTrouble},
        store::memory::MemoryStore,
    };

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_770_000_000 + hour * 3_600, 0).unwrap()
    }

    fn keyword(since: i64) -> IncompleteKeyword {
        IncompleteKeyword {
            keyword: "DARTS".into(),
            since: at(since),
            why: "arXiv answered 503\r\n- since for ever: forged".into(),
        }
    }

    fn words(notice: &Notice) -> String {
        let paragraphs: Vec<&str> = notice
            .mail
            .blocks
            .iter()
            .flat_map(|block| &block.paragraphs)
            .map(String::as_str)
            .collect();
        paragraphs.join("\n")
    }

    async fn turn(
        store: &dyn Store,
        gate: &GateState,
        incomplete: &[IncompleteKeyword],
        hour: i64,
        accepts: bool,
    ) -> Option<Notice> {
        let after = TimeDelta::hours(48);
        let troubles = troubles(store, gate, incomplete, &["one:25".to_owned()], after, at(hour))
            .await
            .unwrap();
        let notice = notice(store, troubles, at(hour)).await.unwrap()?;
        remember(store, notice.clone(), accepts, at(hour)).await.unwrap();
        Some(notice)
    }

    #[tokio::test]
    async fn a_keyword_that_stays_incomplete_is_told_once_and_its_recovery_once() {
        let (store, open) = (MemoryStore::new(), GateState::default());
        assert_eq!(turn(&store, &open, &[keyword(0)], 47, true).await, None);
        let told = turn(&store, &open, &[keyword(0)], 48, true).await.unwrap();
        assert_eq!(told.mail.subject, "Paperround needs you: keyword DARTS");
        assert!(
            words(&told).contains("503 - since for ever: forged"),
            "{}",
            words(&told)
        );
        assert_eq!(turn(&store, &open, &[keyword(0)], 49, true).await, None);
        let well = turn(&store, &open, &[], 50, true).await.unwrap();
        assert_eq!(well.mail.subject, "Paperround: well again");
        assert!(words(&well).contains("DARTS"), "{}", words(&well));
        assert_eq!(turn(&store, &open, &[], 51, true).await, None);
    }

    #[tokio::test]
    async fn a_denied_access_is_told_at_once_and_again_only_after_it_ended() {
        let store = MemoryStore::new();
        let denied = GateState {
            forbidden: true,
            why: Some("arXiv denied access (403)".into()),
            ..GateState::default()
        };
        let told = turn(&store, &denied, &[], 0, true).await.unwrap();
        assert!(
            words(&told).contains("403") && words(&told).contains("--resume"),
            "{}",
            words(&told)
        );
        assert_eq!(turn(&store, &denied, &[], 24, true).await, None);
        assert!(turn(&store, &GateState::default(), &[], 25, true).await.is_some());
        assert!(turn(&store, &denied, &[], 26, true).await.is_some());
    }

    #[tokio::test]
    async fn a_relay_whose_place_another_takes_is_told_by_name() {
        let (store, open) = (MemoryStore::new(), GateState::default());
        let failure = |needs_operator| RelayFailure {
            why: "needs the operator, at AUTH: 535 5.7.8 no".into(),
            needs_operator,
            is_grave: true,
        };
        let note = async |name: &str, trouble: Option<RelayTrouble>| {
            let configured = ["one:25".to_owned(), "gone:25".to_owned()];
            relays::note(&store, &configured, name, trouble.as_ref()).await.unwrap();
        };
        let trouble = |needs_operator| RelayTrouble::after(None, failure(needs_operator), TimeDelta::minutes(1), at(0));
        note("gone:25", Some(trouble(true))).await;
        note("one:25", Some(trouble(false))).await;
        assert_eq!(turn(&store, &open, &[], 1, true).await, None, "it may pass");
        assert!(turn(&store, &open, &[], 48, true).await.is_some(), "it has not");
        note("one:25", None).await;
        assert!(turn(&store, &open, &[], 49, true).await.is_some(), "it is over");
        note("one:25", Some(trouble(true))).await;
        let told = turn(&store, &open, &[], 50, true).await.unwrap();
        assert_eq!(told.mail.subject, "Paperround needs you: relay one:25");
        assert!(words(&told).contains("535 5.7.8"), "{}", words(&told));
    }

    #[tokio::test]
    async fn a_notice_that_no_relay_takes_comes_an_hour_later() {
        let (store, open) = (MemoryStore::new(), GateState::default());
        assert!(turn(&store, &open, &[keyword(0)], 48, false).await.is_some());
        assert_eq!(turn(&store, &open, &[keyword(0)], 48, true).await, None);
        assert!(turn(&store, &open, &[keyword(0)], 49, true).await.is_some());
    }

    #[tokio::test]
    async fn the_address_of_a_ping_is_never_quoted() {
        // Nothing listens on the discard port of loopback.
        let error = ping("http://127.0.0.1:9/secret-token").await.unwrap_err();
        assert!(!error.contains("secret-token"), "{error}");
    }
}
