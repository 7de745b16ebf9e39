//! What is wrong, a sentence each; what has befallen many in the same way, in one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{NotDelivered, OnItsWay, RelayStatus, Status, words::how_in_words};
use crate::{
    admin::moment,
    model::{Ending, RelayTrouble},
};

/// What keeps the service from doing what the configuration on the disk says: in a few words, and in a sentence that says
/// what to do.
pub(super) fn of_service(status: &Status) -> Vec<(&'static str, String)> {
    let mut troubles = Vec::new();
    let Some(daemon) = &status.daemon else {
        if let [slot, others @ ..] = status.unserved.as_slice()
            && status.runs_made_by.is_none()
        {
            let others = match others.len() {
                0 => String::new(),
                n => format!(", nor were those of {n} other schedules"),
            };
            troubles.push((
                "no daemon runs",
                format!(
                    "no daemon runs, and the slot of {} ({} {}) was not served{others}. `systemctl start paperround` starts \
                     it, `systemctl status paperround` says why it ended; without one, have cron call `paperround run \
                     --due`. What was missed is caught up then",
                    moment(slot.at),
                    slot.schedule,
                    slot.zone,
                ),
            ));
        }
        return troubles;
    };
    if let Some(why) = daemon.halted {
        troubles.push(("the daemon does nothing", format!("the daemon does nothing: {why}")));
    }
    if let Some(refused) = &daemon.refused {
        troubles.push((
            "the configuration file is not in force",
            format!(
                "the configuration file as read at {} is not in force, the daemon goes on with the one before: {}. {}",
                moment(refused.at),
                refused.why,
                refused.mend
            ),
        ));
    }
    troubles
}

/// What is wrong with fetching and sending.
pub(super) fn of_work(status: &Status, gate_why: Option<&str>) -> Vec<String> {
    let mut troubles = Vec::new();
    let mut incomplete: BTreeMap<&str, Vec<(DateTime<Utc>, &str)>> = BTreeMap::new();
    for keyword in &status.keywords {
        if let Some(since) = keyword.incomplete_since {
            let why = keyword.why.as_deref().unwrap_or("");
            incomplete.entry(why).or_default().push((since, &keyword.keyword));
        }
    }
    for (why, keywords) in incomplete {
        let since = keywords
            .iter()
            .map(|(since, _)| *since)
            .min()
            .map_or_else(String::new, moment);
        troubles.push(match keywords.as_slice() {
            [(_, one)] => format!("{one} is incomplete since {since}: {why}"),
            [(_, one), others @ ..] => {
                format!(
                    "{one} and {} other keywords are incomplete since {since}: {why}",
                    others.len()
                )
            }
            [] => continue,
        });
    }
    let mut digests: BTreeMap<(&str, &str), Vec<&OnItsWay>> = BTreeMap::new();
    for entry in status.on_their_way.iter().filter(|entry| entry.is_failing) {
        let last = entry.last_outcome.as_deref().unwrap_or_default();
        digests.entry((entry.state, last)).or_default().push(entry);
    }
    for ((state, last), entries) in digests {
        let n_attempts = entries.iter().map(|entry| entry.n_attempts).max().unwrap_or_default();
        troubles.push(match entries.as_slice() {
            [one] => format!("digest {} is {state} after {n_attempts} attempts: {last}", one.digest),
            [one, others @ ..] => format!(
                "digest {} and {} others are {state} after up to {n_attempts} attempts: {last}",
                one.digest,
                others.len()
            ),
            [] => continue,
        });
    }
    let mut ended: BTreeMap<(Ending, &str), Vec<&NotDelivered>> = BTreeMap::new();
    for digest in status.not_delivered.iter().filter(|digest| digest.is_missed) {
        let last = digest.last_outcome.as_deref().unwrap_or_default();
        ended.entry((digest.how, last)).or_default().push(digest);
    }
    for ((how, last), digests) in ended {
        let Some(latest) = digests.iter().max_by_key(|digest| digest.at) else {
            continue;
        };
        let others = match digests.len() - 1 {
            0 => String::new(),
            n => format!(" and the latest of {n} others"),
        };
        troubles.push(format!(
            "digest {}{others}: {} {}: {last}",
            latest.digest,
            how_in_words(how),
            moment(latest.at)
        ));
    }
    for (relay, trouble) in failing(&status.relays) {
        troubles.push(format!(
            "the relay {relay} takes no mail since {}: {}",
            moment(trouble.since),
            trouble.why
        ));
    }
    if let Some(until) = status.arxiv_paused_until {
        troubles.push(format!(
            "no requests to arXiv until {}: {}",
            moment(until),
            gate_why.unwrap_or("")
        ));
    }
    troubles
}

/// The relays in trouble.
fn failing(relays: &[RelayStatus]) -> impl Iterator<Item = (&str, &RelayTrouble)> {
    relays
        .iter()
        .filter_map(|relay| Some((relay.name.as_str(), relay.trouble.as_ref()?)))
}
