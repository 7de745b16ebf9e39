//! What an outcome does to a digest and to its papers: pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{
    Attempt, Ending, EntryState, OutboxEntry, Outcome, Settled, Stage, SubscriberState, Suppression, SuppressionReason,
};

/// A digest that stays refused for the moment ends at the latest after this.
const RETRIED_FOR: TimeDelta = TimeDelta::days(5);
/// The longest wait between two attempts; Postfix's `maximal_backoff_time`.
const BACKOFF_MAX: TimeDelta = TimeDelta::seconds(4_000);
/// A mailbox is suppressed when it was refused as not existing on this many different days.
const REFUSAL_DAYS: usize = 2;

/// How attempts are repeated.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The wait after the first failure; it doubles.
    pub retry_delay: TimeDelta,
    /// Whether a digest whose acceptance is unknown waits for the operator at once.
    pub hold_unconfirmed: bool,
    /// Whether it is remembered under which version each paper was sent, so that later ones can be listed.
    pub keep_versions: bool,
}

/// What became of a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Its papers are seen.
    Accepted,
    /// It is tried again.
    Retrying,
    /// Its acceptance is unknown; it is tried again under the same Message-ID, or held.
    Unconfirmed {
        /// Whether it waits for the operator.
        held: bool,
    },
    /// It is over; its papers return to pending.
    Returned,
    /// It is over; its papers are to return in two smaller digests.
    Split,
    /// It is over, and so are its papers.
    Undeliverable,
}

/// Applies what an attempt came to, to the entry and to its subscriber's state. The caller writes both in one batch.
///
/// Returns what became of the digest, and the suppression that the evidence calls for, if any.
pub fn settle(
    entry: &mut OutboxEntry,
    state: &mut SubscriberState,
    attempt: &Attempt,
    policy: Policy,
    now: DateTime<Utc>,
) -> (Settlement, Option<Suppression>) {
    let number = entry.digest.id.number;
    entry.push_attempt(attempt.clone());
    let mut suppression = None;
    let settlement = match &attempt.outcome {
        Outcome::Accepted { reply } => {
            state.accept(number);
            if policy.keep_versions {
                for paper in entry.digest.papers() {
                    state.note_version(&paper.id, paper.version, now);
                }
            }
            state.refused_on.clear();
            entry.state = EntryState::Accepted {
                at: now,
                reply: reply.clone(),
            };
            Settlement::Accepted
        }
        Outcome::TransientRecipient { .. } | Outcome::TransientRelay { .. } => {
            let is_over = now - entry.digest.frozen_at > RETRIED_FOR;
            match (is_over, entry.n_unconfirmed) {
                (false, _) => retry(entry, policy, now),
                (true, 0) => {
                    state.give_back(number);
                    end(entry, Ending::Returned, now)
                }
                // Somebody may have it: its papers must not come in another mail, so the operator decides.
                (true, _) => hold(entry),
            }
        }
        Outcome::Configuration { .. } => retry(entry, policy, now),
        Outcome::Unconfirmed { .. } => {
            if policy.hold_unconfirmed || entry.n_unconfirmed >= OutboxEntry::UNCONFIRMED_MAX {
                hold(entry)
            } else {
                retry(entry, policy, now);
                Settlement::Unconfirmed { held: false }
            }
        }
        Outcome::PermanentRecipient {
            reply, no_such_mailbox, ..
        } => {
            if *no_such_mailbox {
                suppression = note_refusal(entry, state, reply, now);
            }
            if entry.n_unconfirmed == 0 {
                state.give_back(number);
                end(entry, Ending::Returned, now)
            } else {
                state.end(number, Settled::Undeliverable);
                end(entry, Ending::Undeliverable, now)
            }
        }
        Outcome::PermanentMessage { .. } => {
            if entry.n_unconfirmed == 0 && !entry.is_half && entry.digest.papers().count() > 1 {
                state.give_back(number);
                end(entry, Ending::Split, now)
            } else {
                state.end(number, Settled::Undeliverable);
                end(entry, Ending::Undeliverable, now)
            }
        }
    };
    (settlement, suppression)
}

/// Whether an outcome says that the relay, not one recipient or message, is the trouble.
pub(super) fn is_relay_trouble(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::TransientRelay { .. } | Outcome::Configuration { .. } => true,
        Outcome::Unconfirmed { .. }
        | Outcome::Accepted { .. }
        | Outcome::TransientRecipient { .. }
        | Outcome::PermanentRecipient { .. }
        | Outcome::PermanentMessage { .. } => false,
    }
}

/// What an attempt came to, in one line; with the relay, where there are several.
pub fn attempt_in_words(attempt: &Attempt) -> String {
    match &attempt.relay {
        Some(relay) => format!("through {relay}: {}", in_words(&attempt.outcome)),
        None => in_words(&attempt.outcome),
    }
}

/// The outcome in one line: stage and reply.
pub fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted { reply } => format!("accepted: {reply}"),
        Outcome::TransientRecipient { stage, reply } => format!("refused for now at {}: {reply}", stage_name(*stage)),
        Outcome::TransientRelay { stage, reply } => format!("the relay failed at {}: {reply}", stage_name(*stage)),
        Outcome::PermanentRecipient { stage, reply, .. } => {
            format!("recipient refused at {}: {reply}", stage_name(*stage))
        }
        Outcome::PermanentMessage { stage, reply } => format!("message refused at {}: {reply}", stage_name(*stage)),
        Outcome::Configuration { stage, reply } => format!("needs the operator, at {}: {reply}", stage_name(*stage)),
        Outcome::Unconfirmed { reply } => format!("unconfirmed: {reply}"),
    }
}

/// The stage as the protocol names it.
pub fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Connect => "connecting",
        Stage::Tls => "TLS",
        Stage::Greeting => "the greeting",
        Stage::Hello => "EHLO",
        Stage::Auth => "AUTH",
        Stage::Mail => "MAIL FROM",
        Stage::Recipient => "RCPT TO",
        Stage::Data => "DATA",
        Stage::Body => "the message",
        Stage::FinalReply => "the final dot",
    }
}

fn retry(entry: &mut OutboxEntry, policy: Policy, now: DateTime<Utc>) -> Settlement {
    entry.state = EntryState::Due;
    entry.next_attempt = now + backoff(policy.retry_delay, entry);
    Settlement::Retrying
}

fn hold(entry: &mut OutboxEntry) -> Settlement {
    entry.state = EntryState::Held;
    Settlement::Unconfirmed { held: true }
}

fn end(entry: &mut OutboxEntry, how: Ending, now: DateTime<Utc>) -> Settlement {
    entry.state = EntryState::Ended { at: now, how };
    match how {
        Ending::Split => Settlement::Split,
        Ending::Undeliverable => Settlement::Undeliverable,
        Ending::Returned | Ending::Cancelled => Settlement::Returned,
    }
}

/// Doubles from `first` to [`BACKOFF_MAX`], moved by up to a fifth so that digests refused together do not
/// come back together. The jitter is taken from the digest itself, so that a replay repeats it.
fn backoff(first: TimeDelta, entry: &OutboxEntry) -> TimeDelta {
    let doublings = entry.n_attempts.saturating_sub(1).min(16);
    let delay = first
        .checked_mul(1 << doublings)
        .unwrap_or(BACKOFF_MAX)
        .min(BACKOFF_MAX);
    let chance = entry
        .message_id
        .bytes()
        .chain(entry.n_attempts.to_be_bytes())
        .fold(2_166_136_261_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(16_777_619)
        });
    let per_mille = 900 + i32::try_from(chance % 201).unwrap_or(100);
    delay * per_mille / 1_000
}

fn note_refusal(
    entry: &OutboxEntry,
    state: &mut SubscriberState,
    reply: &str,
    now: DateTime<Utc>,
) -> Option<Suppression> {
    let today = now.date_naive();
    if !state.refused_on.contains(&today) {
        state.refused_on.push(today);
    }
    (state.refused_on.len() >= REFUSAL_DAYS).then(|| Suppression {
        address: entry.digest.address.to_lowercase(),
        reason: SuppressionReason::HardBounce,
        evidence: format!("refused on {REFUSAL_DAYS} days, last: {reply}"),
        since: now,
    })
}
