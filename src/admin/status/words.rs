//! `status` in words, on one screen however many subscribers, keywords and troubles there are: what is much is counted, and
//! a few are named.

use std::{collections::BTreeMap, fmt::Write as _};

use chrono::{DateTime, NaiveDate, Utc};

use super::{Coverage, NextSlot, NotDelivered, OnItsWay, RelayStatus, Status};
use crate::{
    admin::{moment, subscribers::pause_in_words, suppression},
    model::{Ending, Slot, Suppression},
    render::count,
    run::Report,
};

/// How many troubles are told.
const TROUBLES_SHOWN: usize = 8;
/// Up to so many keywords are listed one by one.
const KEYWORDS_LISTED: usize = 8;
/// How many digests or addresses of a kind are named.
const NAMED: usize = 3;

pub(super) fn of(status: &Status, now: DateTime<Utc>) -> String {
    let mut text = Lines::default();
    let verdict = if status.well { "All is well" } else { "Not all is well" };
    let headline = status.headline.map_or_else(String::new, |words| format!(": {words}"));
    let paused = match status.paused.len() {
        0 => String::new(),
        n => format!(", {n} of them paused"),
    };
    text.line(&format!(
        "{verdict} at {}{headline}; {}{paused}.",
        moment(now),
        count(status.n_subscribers, "subscriber")
    ));
    text.some(TROUBLES_SHOWN, &status.troubles, "status --json", |trouble| {
        format!("! {trouble}")
    });

    let exported = status.exported.map_or_else(|| "none yet".to_owned(), moment);
    text.line(&format!("{}. Latest export of the state: {exported}.", service(status)));

    text.line("\nLatest runs");
    if status.runs.is_empty() {
        text.line("  none yet");
    }
    for run in &status.runs {
        text.line(&format!("  {}", run_in_words(run)));
    }
    keywords(&mut text, &status.keywords);
    let outbox: Vec<String> = status.outbox.iter().map(|(state, n)| format!("{n} {state}")).collect();
    let outbox = if outbox.is_empty() {
        "empty".to_owned()
    } else {
        outbox.join(", ")
    };
    text.line(&format!("\nOutbox: {outbox}"));
    text.some(NAMED, &status.on_their_way, "outbox list", on_its_way);
    if !status.not_delivered.is_empty() {
        text.line("\nSubscribers whose latest digest was not accepted");
    }
    text.some(NAMED, &status.not_delivered, "status --json", not_delivered);
    if !status.relays.is_empty() {
        text.line("\nRelays, in the order in which they are tried");
    }
    for relay in &status.relays {
        text.line(&format!("  {}", relay_in_words(relay, now)));
    }
    if !status.paused.is_empty() {
        text.line(&format!("\nPaused: {}", status.paused.len()));
    }
    text.some(NAMED, &status.paused, "subscriber list", |paused| {
        format!("{}  {}", paused.subscriber, pause_in_words(paused.until))
    });
    suppressions(&mut text, &status.suppressions);
    text.line("\nNext slots");
    text.some(NAMED, &status.next_slots, "status --json", next_slot);
    text.0
}

/// Whether a daemon is there and what it is at; without one calmly, since the troubles say it where it is amiss.
fn service(status: &Status) -> String {
    let mut words = match (&status.daemon, &status.runs_made_by) {
        (Some(daemon), _) => format!("Daemon: runs since {}", moment(daemon.since)),
        (None, Some(worker)) => format!("Daemon: none runs here, the worker {worker} makes the runs"),
        (None, None) => "Daemon: none runs here".to_owned(),
    };
    let is_served = status.daemon.is_some() || status.runs_made_by.is_some();
    match status.unserved.first() {
        Some(slot) if is_served => words.push_str(&format!(", at work for the slot of {}", moment(slot.at))),
        None if !is_served => words.push_str(", and no slot is overdue"),
        _ => {}
    }
    words
}

fn next_slot(next: &NextSlot) -> String {
    let Slot { schedule, zone, at } = &next.slot;
    let subscribers = count(next.n_subscribers, "subscriber");
    format!("{}  {schedule} {zone}, {subscribers}", moment(*at))
}

#[derive(Debug, Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, words: &str) {
        // Writing to a string cannot fail.
        let _infallible = writeln!(self.0, "{words}");
    }

    /// The first few of a list, and how many there are besides.
    fn some<T>(&mut self, shown: usize, all: &[T], command: &str, words: impl Fn(&T) -> String) {
        for one in all.iter().take(shown) {
            self.line(&format!("  {}", words(one)));
        }
        if all.len() > shown {
            self.line(&format!(
                "  and {} more; `paperround {command}` has all",
                all.len() - shown
            ));
        }
    }
}

/// What it did, without what there was none of, nor what another run has fetched.
fn run_in_words(run: &Report) -> String {
    let counted = |pairs: &[(usize, &str)]| {
        let some = pairs.iter().filter(|(n, _)| *n > 0);
        some.map(|(n, words)| format!("{n} {words}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut parts = vec![
        announcements(run),
        format!(
            "{} of {} keywords complete",
            run.keywords.saturating_sub(run.incomplete.len()),
            run.keywords
        ),
    ];
    match run.fetched_at {
        Some(at) => parts.push(format!("from the fetch of {}", moment(at))),
        None => parts.extend([
            format!("{} fetched, {} new", run.fetched, run.new),
            counted(&[
                (run.matched, "matched"),
                (run.already_seen, "already sent or on their way"),
                (run.excluded, "excluded"),
            ]),
        ]),
    }
    parts.push(if run.queued == 0 {
        "no digest queued".to_owned()
    } else {
        counted(&[
            (run.queued, "digests queued"),
            (run.accepted, "accepted"),
            (run.failed, "failed"),
            (run.unconfirmed, "unconfirmed"),
            (run.retrying, "retrying"),
        ])
    });
    parts.push(counted(&[(run.waiting, "waiting")]));
    parts.extend(run.silence.map(|silence| silence.in_words("the fetch before")));
    if run.fetched_at.is_none() {
        parts.extend(run.found_alone());
    }
    parts.retain(|part| !part.is_empty());
    format!("{}  {}", run.began.map_or_else(String::new, moment), parts.join("; "))
}

/// Which announcements a run covers, in words.
fn announcements(run: &Report) -> String {
    let evening = |day: &NaiveDate| day.format("%a %-d %b").to_string();
    match run.announcements.as_slice() {
        [] => "no new announcement".to_owned(),
        [one] => format!("announcement of {}", evening(one)),
        [first, .., last] => format!("announcements of {} to {}", evening(first), evening(last)),
    }
}

fn keywords(text: &mut Lines, keywords: &[Coverage]) {
    text.line("\nKeywords");
    if keywords.len() <= KEYWORDS_LISTED {
        for keyword in keywords {
            let last = keyword
                .last_complete
                .map_or_else(|| "never complete".to_owned(), |at| format!("complete {}", moment(at)));
            text.line(&format!(
                "  {last}, {} papers in the window  {}",
                keyword.n_papers, keyword.keyword
            ));
        }
        return;
    }
    let n_never = keywords
        .iter()
        .filter(|keyword| keyword.last_complete.is_none())
        .count();
    let n_incomplete = keywords
        .iter()
        .filter(|keyword| keyword.incomplete_since.is_some())
        .count();
    let stalest = keywords
        .iter()
        .filter_map(|keyword| Some((keyword.last_complete?, &keyword.keyword)))
        .min();
    let mut parts = vec![format!("{} in all", keywords.len())];
    if n_never > 0 {
        parts.push(format!("{n_never} never complete"));
    }
    if n_incomplete > 0 {
        parts.push(format!("{n_incomplete} incomplete now"));
    }
    parts.extend(stalest.map(|(at, keyword)| format!("the stalest complete {}: {keyword}", moment(at))));
    text.line(&format!("  {}", parts.join(", ")));
}

fn on_its_way(entry: &OnItsWay) -> String {
    format!(
        "{}  {} papers, {}, {} attempts, next {}  {}",
        entry.digest,
        entry.n_papers,
        entry.state,
        entry.n_attempts,
        moment(entry.next_attempt),
        entry.last_outcome.as_deref().unwrap_or("")
    )
}

fn not_delivered(ended: &NotDelivered) -> String {
    format!(
        "{}  {} {}  {}",
        ended.digest,
        how_in_words(ended.how),
        moment(ended.at),
        ended.last_outcome.as_deref().unwrap_or("")
    )
}

/// What an end means for the papers.
pub(super) fn how_in_words(how: Ending) -> &'static str {
    match how {
        Ending::Returned => "refused, its papers wait for the next; since",
        Ending::Split => "refused, its papers come in two smaller ones; since",
        Ending::Undeliverable => "given up with its papers",
        Ending::Cancelled => "cancelled",
    }
}

fn relay_in_words(relay: &RelayStatus, now: DateTime<Utc>) -> String {
    let state = match &relay.trouble {
        None => "takes mail, as far as is known".to_owned(),
        Some(trouble) => match trouble.rests_until.filter(|until| *until > now) {
            Some(until) => format!("at rest until {}", moment(until)),
            None => "tried again with the next mail".to_owned(),
        },
    };
    format!("{}  {state}", relay.name)
}

/// How many for which reason, and the latest of them.
fn suppressions(text: &mut Lines, suppressions: &[Suppression]) {
    if suppressions.is_empty() {
        return;
    }
    let mut by_reason: BTreeMap<&str, usize> = BTreeMap::new();
    for suppression in suppressions {
        *by_reason.entry(suppression::in_words(suppression.reason)).or_default() += 1;
    }
    let counts: Vec<String> = by_reason.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    text.line(&format!("\nSuppressed addresses: {}", counts.join(", ")));
    let mut latest: Vec<&Suppression> = suppressions.iter().collect();
    latest.sort_by_key(|suppression| std::cmp::Reverse(suppression.since));
    text.some(NAMED, &latest, "suppression list", |one| {
        format!(
            "{}  {} since {}: {}",
            one.address,
            suppression::in_words(one.reason),
            moment(one.since),
            one.evidence
        )
    });
}
