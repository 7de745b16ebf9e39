//! Digests on their way: what is frozen about each, and what became of each attempt to send it.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{ArxivId, CoverageNote, SubscriberId, Term, VersionedId, WorkerId};

/// One digest: a subscriber and a number that is given once, when the digest is enqueued.
///
/// The Message-ID is made from it, never from a date.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DigestId {
    /// Whose digest.
    pub subscriber: SubscriberId,
    /// Its number, from 1, without gaps.
    pub number: u32,
}

impl fmt::Display for DigestId {
    /// `ana@example.net#12`, the form that commands take.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.subscriber, self.number)
    }
}

impl std::str::FromStr for DigestId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.rsplit_once('#')
            .and_then(|(subscriber, number)| {
                Some(Self {
                    subscriber: SubscriberId(subscriber.into()),
                    number: number.parse().ok()?,
                })
            })
            .ok_or_else(|| format!("{text:?} names no digest (expected SUBSCRIBER#NUMBER, as `outbox list` shows)"))
    }
}

/// How much of a paper the mail shows. The cut is made before the digest is enqueued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// The title as a link, in one line with nothing beside it.
    Line,
    /// Title, first author, category, date and PDF.
    Title,
    /// With a shortened abstract.
    Short,
    /// With the whole abstract.
    Full,
}

/// One paper of a stored digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaperRecord {
    /// The paper.
    pub id: ArxivId,
    /// The version whose text is shown.
    pub version: u16,
    /// How much of it is shown.
    pub shown: Shown,
    /// Further keywords of the subscriber that matched, as indexes into [`DigestRecord::keywords`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<u16>,
    /// The version that the subscriber got before, when this is listed as a replacement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<(u16, DateTime<Utc>)>,
    /// What that replacement changed; `None` where the text that the subscriber got is not known any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
}

impl PaperRecord {
    /// The paper and the version whose text is shown.
    pub fn versioned_id(&self) -> VersionedId {
        VersionedId {
            id: self.id.clone(),
            version: self.version,
        }
    }
}

/// What is different in a later version of a paper, as against the version that the subscriber got.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// The former title, where there is another one now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title_before: Option<String>,
    /// Whether the abstract says something else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub abstract_text: bool,
    /// Whether the comment says something else, or is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub comment: bool,
}

/// One keyword's papers in a stored digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionRecord {
    /// Index of the section's keyword in [`DigestRecord::keywords`].
    pub keyword: u16,
    /// The papers, in the order shown.
    pub papers: Vec<PaperRecord>,
    /// Matching papers that wait for a later digest.
    #[serde(default)]
    pub n_waiting: usize,
    /// Papers that were settled as skipped, because too many waited.
    #[serde(default)]
    pub n_skipped: usize,
}

/// What kind of mail an outbox entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DigestKind {
    /// Papers.
    Digest,
    /// No papers: the line that says the service is alive.
    Quiet,
    /// What a new subscriber is told once.
    Welcome,
}

/// All that rendering needs besides the papers' text and the configuration: the mail is a pure function of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestRecord {
    /// Subscriber and number.
    pub id: DigestId,
    /// What kind of mail.
    pub kind: DigestKind,
    /// The recipient's address, domain in ASCII form.
    pub address: String,
    /// The recipient's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When the digest was frozen: the `Date` of every copy.
    pub frozen_at: DateTime<Utc>,
    /// The IANA zone in which the mail shows dates.
    pub zone: String,
    /// The subscriber's keywords as they are headed, each with the term whose matches are marked.
    pub keywords: Vec<(String, Term)>,
    /// The sections in the order shown.
    pub sections: Vec<SectionRecord>,
    /// What was covered.
    pub coverage: CoverageNote,
    /// Whether the address is a list's: no one-click and no token links.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

impl DigestRecord {
    /// The papers of all sections.
    pub fn papers(&self) -> impl Iterator<Item = &PaperRecord> {
        self.sections.iter().flat_map(|section| &section.papers)
    }
}

/// How far a dialogue with the relay had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Name resolution and TCP.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Waiting for the 220.
    Greeting,
    /// EHLO.
    Hello,
    /// AUTH.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Recipient,
    /// DATA, before the 354.
    Data,
    /// The message itself, before the final dot was sent.
    Body,
    /// Waiting for the reply to the final dot: from here on the relay may have the mail.
    FinalReply,
}

/// What one attempt came to. It says what happens next, once, next to the cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The relay answered 250 to the final dot: it took responsibility.
    Accepted {
        /// Its reply, with the queue id if it gave one.
        reply: String,
    },
    /// 4yz for this recipient or message: try again later.
    TransientRecipient {
        /// Where.
        stage: Stage,
        /// The reply.
        reply: String,
    },
    /// The relay cannot be talked to at present: no fault of the recipient.
    TransientRelay {
        /// Where.
        stage: Stage,
        /// The reply or the error.
        reply: String,
    },
    /// 5yz for this recipient: not again in this digest.
    PermanentRecipient {
        /// Where.
        stage: Stage,
        /// The reply.
        reply: String,
        /// Whether the reply says that there is no such mailbox (RFC 3463: 5.1.1 and its like).
        no_such_mailbox: bool,
    },
    /// 5yz for this message (size, content): papers are split once.
    PermanentMessage {
        /// Where.
        stage: Stage,
        /// The reply.
        reply: String,
    },
    /// Login, quota or policy: all mail waits, nobody is suppressed, the operator is told.
    Configuration {
        /// Where.
        stage: Stage,
        /// The reply or the error, with what to change.
        reply: String,
    },
    /// The connection ended between the final dot and its reply: the relay may have the mail.
    Unconfirmed {
        /// What was seen.
        reply: String,
    },
}

/// A time-limited right to attempt one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who holds it.
    pub worker: WorkerId,
    /// Until when.
    pub until: DateTime<Utc>,
    /// Whether the attempt may have sent the message: committed before DATA.
    pub data_begun: bool,
}

/// One attempt and what it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub at: DateTime<Utc>,
    /// What it came to.
    pub outcome: Outcome,
    /// Through which relay, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
}

/// Why an entry is over without having been accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Its papers returned to pending and come in the next digest.
    Returned,
    /// Its papers returned in two smaller digests.
    Split,
    /// Its papers can not be delivered.
    Undeliverable,
    /// The operator dropped it, or the subscriber left.
    Cancelled,
}

/// Where an outbox entry stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum EntryState {
    /// To be sent when `next_attempt` has come.
    Due,
    /// An attempt is being made.
    Leased(Lease),
    /// Three attempts were unconfirmed: waits for the operator.
    Held,
    /// The relay took it.
    Accepted {
        /// When.
        at: DateTime<Utc>,
        /// With which reply.
        reply: String,
    },
    /// Over without acceptance.
    Ended {
        /// When.
        at: DateTime<Utc>,
        /// How.
        how: Ending,
    },
}

impl EntryState {
    /// From when on a worker may take an entry in this state: its next attempt, or the end of the lease on it.
    /// `None` for one that nobody may take.
    pub fn due_at(&self, next_attempt: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Due => Some(next_attempt),
            Self::Leased(lease) => Some(lease.until),
            Self::Held | Self::Accepted { .. } | Self::Ended { .. } => None,
        }
    }
}

/// One digest on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// What the mail is made from.
    pub digest: DigestRecord,
    /// `<pr1.…@domain>`, the same for every attempt.
    pub message_id: String,
    /// SHA-256 of the rendered bytes, in hexadecimal, once they were rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Fingerprint of everything outside this record that enters the bytes (program, templates, sender, keys).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Where it stands.
    pub state: EntryState,
    /// When the next attempt may begin.
    pub next_attempt: DateTime<Utc>,
    /// How many attempts were begun.
    pub n_attempts: u32,
    /// How many of them were unconfirmed. Once unconfirmed, its papers never return to pending.
    pub n_unconfirmed: u32,
    /// The latest attempts, at most [`OutboxEntry::ATTEMPTS_KEPT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Whether the operator has let it go again although it may have been accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_released: bool,
    /// Whether the papers are one half of a digest that was refused as a message.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_half: bool,
}

impl OutboxEntry {
    /// How many attempts an entry remembers.
    pub const ATTEMPTS_KEPT: usize = 10;

    /// After this many unconfirmed attempts an entry is held for the operator.
    pub const UNCONFIRMED_MAX: u32 = 3;

    /// A digest that is due at once and was never tried.
    pub fn new(digest: DigestRecord, message_id: String) -> Self {
        Self {
            next_attempt: digest.frozen_at,
            digest,
            message_id,
            sha256: None,
            fingerprint: None,
            state: EntryState::Due,
            n_attempts: 0,
            n_unconfirmed: 0,
            attempts: Vec::new(),
            is_released: false,
            is_half: false,
        }
    }

    /// Whether the entry is still on its way.
    pub fn is_active(&self) -> bool {
        match self.state {
            EntryState::Due | EntryState::Leased(_) | EntryState::Held => true,
            EntryState::Accepted { .. } | EntryState::Ended { .. } => false,
        }
    }

    /// From when on a worker may take the entry, as [`EntryState::due_at`] says.
    pub fn due_at(&self) -> Option<DateTime<Utc>> {
        self.state.due_at(self.next_attempt)
    }

    /// Due → leased, and one more attempt is counted. Returns whether the entry was due.
    pub fn lease(&mut self, worker: &WorkerId, until: DateTime<Utc>) -> bool {
        if self.state != EntryState::Due {
            return false;
        }
        self.n_attempts = self.n_attempts.saturating_add(1);
        self.state = EntryState::Leased(Lease {
            worker: worker.clone(),
            until,
            data_begun: false,
        });
        true
    }

    /// Notes on the lease that the message may be sent from now on. Returns whether there is a lease.
    ///
    /// This is to be written durably before DATA: what is unknown after a crash is decided by it.
    pub fn begin_data(&mut self) -> bool {
        match &mut self.state {
            EntryState::Leased(lease) => {
                lease.data_begun = true;
                true
            }
            EntryState::Due | EntryState::Held | EntryState::Accepted { .. } | EntryState::Ended { .. } => false,
        }
    }

    /// Notes an attempt that surely did not send the message, and goes on under the same lease for `ttl` longer: the
    /// message is handed to another relay.
    pub fn go_on(&mut self, attempt: Attempt, ttl: TimeDelta) {
        self.push_attempt(attempt);
        if let EntryState::Leased(lease) = &mut self.state {
            lease.data_begun = false;
            lease.until += ttl;
        }
    }

    /// Appends an attempt, forgets the oldest beyond [`Self::ATTEMPTS_KEPT`], and counts it if it was unconfirmed.
    pub fn push_attempt(&mut self, attempt: Attempt) {
        if matches!(attempt.outcome, Outcome::Unconfirmed { .. }) {
            self.n_unconfirmed = self.n_unconfirmed.saturating_add(1);
        }
        self.attempts.push(attempt);
        let n_surplus = self.attempts.len().saturating_sub(Self::ATTEMPTS_KEPT);
        self.attempts.drain(..n_surplus);
    }

    /// Ends a lease whose holder is gone: leased → due at once, or held after too many unconfirmed attempts.
    ///
    /// Whether the holder is gone is for the caller to know: the lease has run out, or the store was opened
    /// anew where only one process can have it open. An attempt whose message may have been sent becomes an
    /// unconfirmed one; it is dated at the end of the lease, or now if that is earlier, because its begin is
    /// not recorded. `None`, and nothing is changed, where there is no lease.
    pub fn expire_lease(&mut self, now: DateTime<Utc>) -> Option<LeaseEnd> {
        let EntryState::Leased(lease) = &self.state else {
            return None;
        };
        let (data_begun, at) = (lease.data_begun, lease.until.min(now));
        let reply = format!(
            "worker {} ended after it had begun to send, without noting a reply",
            lease.worker
        );
        self.state = EntryState::Due;
        self.next_attempt = now;
        if !data_begun {
            return Some(LeaseEnd::Unsent);
        }
        self.push_attempt(Attempt {
            at,
            outcome: Outcome::Unconfirmed { reply },
            relay: None,
        });
        if self.n_unconfirmed < Self::UNCONFIRMED_MAX {
            return Some(LeaseEnd::Unconfirmed);
        }
        self.state = EntryState::Held;
        Some(LeaseEnd::Held)
    }
}

/// What the end of a lease without an outcome means for its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseEnd {
    /// Its message was certainly not sent: due again.
    Unsent,
    /// Its message may have been sent: due again, under the same Message-ID.
    Unconfirmed,
    /// Its message may have been sent, once too often: held for the operator.
    Held,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u32) -> DateTime<Utc> {
        chrono::NaiveDate::from_ymd_opt(2026, 2, 10)
            .unwrap()
            .and_hms_opt(7, minute, 0)
            .unwrap()
            .and_utc()
    }

    fn entry() -> OutboxEntry {
        OutboxEntry {
            digest: DigestRecord {
                id: "ana@example.net#1".parse().unwrap(),
                kind: DigestKind::Digest,
                address: "ana@example.net".into(),
                name: None,
                frozen_at: at(0),
                zone: "UTC".into(),
                keywords: Vec::new(),
                sections: Vec::new(),
                coverage: CoverageNote::default(),
                shared: false,
            },
            message_id: "<pr1.x@example.org>".into(),
            sha256: None,
            fingerprint: None,
            state: EntryState::Due,
            next_attempt: at(0),
            n_attempts: 0,
            n_unconfirmed: 0,
            attempts: Vec::new(),
            is_released: false,
            is_half: false,
        }
    }

    #[test]
    fn a_lease_is_given_on_due_entries_only_and_ends_unsent_before_data() {
        let mut entry = entry();
        assert_eq!((entry.due_at(), entry.begin_data()), (Some(at(0)), false));
        assert!(entry.lease(&WorkerId("a".into()), at(15)));
        assert!(!entry.lease(&WorkerId("b".into()), at(16)));
        assert_eq!(entry.due_at(), Some(at(15)));
        assert_eq!(entry.expire_lease(at(3)), Some(LeaseEnd::Unsent));
        assert_eq!(entry.expire_lease(at(3)), None);
        assert_eq!((&entry.state, entry.next_attempt), (&EntryState::Due, at(3)));
        assert_eq!((entry.n_attempts, entry.n_unconfirmed, entry.attempts.len()), (1, 0, 0));
    }

    #[test]
    fn what_may_have_been_sent_is_unconfirmed_and_the_third_time_held() {
        let mut entry = entry();
        let mut ends = Vec::new();
        for minute in [10, 20, 30] {
            assert!(entry.lease(&WorkerId("a".into()), at(minute)) && entry.begin_data());
            ends.extend(entry.expire_lease(at(minute + 1)));
        }
        assert_eq!(ends, [LeaseEnd::Unconfirmed, LeaseEnd::Unconfirmed, LeaseEnd::Held]);
        assert_eq!((&entry.state, entry.n_unconfirmed), (&EntryState::Held, 3));
        assert_eq!(entry.due_at(), None);
        assert_eq!(
            entry.attempts.iter().map(|a| a.at).collect::<Vec<_>>(),
            [at(10), at(20), at(30)]
        );
        assert!(matches!(&entry.attempts[2].outcome, Outcome::Unconfirmed { reply } if reply.contains("worker a")));
    }

    #[test]
    fn only_the_latest_attempts_are_remembered() {
        let mut entry = entry();
        for minute in 0..30 {
            entry.push_attempt(Attempt {
                at: at(minute),
                outcome: Outcome::TransientRelay {
                    stage: Stage::Connect,
                    reply: "refused".into(),
                },
                relay: None,
            });
        }
        assert_eq!(entry.attempts.len(), OutboxEntry::ATTEMPTS_KEPT);
        assert_eq!(entry.attempts.last().unwrap().at, at(29));
    }
}
