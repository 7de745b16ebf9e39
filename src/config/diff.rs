//! What a reload would change, in words.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::ExposeSecret as _;

use crate::{
    model::{Definition, SubscriberId},
    roster::masked,
};

use super::{Config, mail::Transport, resolve::Resolved, store::StoreConfig};

/// The difference between two configurations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// One line per change, for the log. No secret is shown, and no address in full.
    pub lines: Vec<String>,
    /// Keys that take effect only at a restart; until then the running values stay.
    pub needs_restart: Vec<String>,
    /// Who is no longer there.
    pub removed_subscribers: Vec<SubscriberId>,
    /// How many subscribers there were.
    pub total_before: usize,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether more than a fifth of the subscribers would go: likely a mishap, so the operator is asked.
    pub fn removes_many(&self) -> bool {
        self.removed_subscribers.len() * 5 > self.total_before
    }
}

/// What changes from `old` to `new`.
pub fn diff(old: &Config, new: &Config) -> Changes {
    let mut changes = Changes::default();
    diff_settings(old, new, &mut changes);
    diff_secrets(old, new, &mut changes);
    diff_people(old, new, &mut changes);
    for key in &changes.needs_restart {
        changes.lines.push(format!("{key} changes only at a restart"));
    }
    changes
}

fn diff_settings(old: &Config, new: &Config, changes: &mut Changes) {
    let keys: BTreeSet<&String> = old.settings.keys().chain(new.settings.keys()).collect();
    for key in keys {
        let shown = |config: &Config| config.settings.get(key).cloned().unwrap_or_else(|| "(none)".to_owned());
        let (before, after) = (shown(old), shown(new));
        if before == after {
            continue;
        }
        changes.lines.push(format!("{key}: {before} becomes {after}"));
        if key == "state_dir" || key == "web.listen" || key.starts_with("store.") {
            changes.needs_restart.push(key.clone());
        }
    }
}

fn diff_secrets(old: &Config, new: &Config, changes: &mut Changes) {
    if let (StoreConfig::Postgres(before), StoreConfig::Postgres(after)) = (&old.store, &new.store)
        && before.address != after.address
    {
        changes.lines.push("store.url: another address or password".to_owned());
        changes.needs_restart.push("store.url".to_owned());
    }
    if let (Transport::Smtp(before), Transport::Smtp(after)) = (&old.mail.transport, &new.mail.transport) {
        let passwords = |relays: &super::Relays| -> Vec<Option<String>> {
            let credentials = relays.iter().map(|relay| relay.credentials.as_ref());
            credentials
                .map(|login| login.map(|login| login.password.expose_secret().to_owned()))
                .collect()
        };
        if passwords(before) != passwords(after) {
            changes.lines.push("mail: another password".to_owned());
        }
    }
    let secrets = |dkim: &super::Dkim| -> Vec<String> {
        let keys = dkim.keys.iter();
        keys.map(|key| key.key.expose_secret().to_owned()).collect()
    };
    if let (Some(before), Some(after)) = (&old.mail.dkim, &new.mail.dkim)
        && secrets(before) != secrets(after)
    {
        changes.lines.push("mail.dkim: another key".to_owned());
    }
    let ping = |config: &Config| config.report.ping.as_ref().map(|ping| ping.expose_secret().to_owned());
    if ping(old) != ping(new) {
        changes.lines.push("report.ping: another address".to_owned());
    }
}

fn diff_people(old: &Config, new: &Config, changes: &mut Changes) {
    let by_id = |config: &Config| -> BTreeMap<SubscriberId, Resolved> {
        let people = config.subscribers().into_iter();
        people.map(|person| (person.id.clone(), person)).collect()
    };
    let (before, after) = (by_id(old), by_id(new));
    changes.total_before = before.len();
    for (id, person) in &before {
        let name = masked(id);
        match after.get(id) {
            None => {
                changes.lines.push(format!(
                    "subscriber {name}: removed; what is due to them is cancelled, nothing is deleted"
                ));
                changes.removed_subscribers.push(id.clone());
            }
            Some(now) if now != person => {
                let parts = diff_person(person, now).join(", ");
                changes.lines.push(format!("subscriber {name}: {parts}"));
            }
            Some(_) => {}
        }
    }
    for id in after.keys().filter(|id| !before.contains_key(id)) {
        changes.lines.push(format!("subscriber {}: added", masked(id)));
    }
}

fn diff_person(old: &Resolved, new: &Resolved) -> Vec<String> {
    let mut parts = Vec::new();
    if old.address != new.address {
        parts.push("another address".to_owned());
    }
    if old.name != new.name {
        parts.push(format!("name becomes {}", new.name.as_deref().unwrap_or("(none)")));
    }
    if old.schedule != new.schedule {
        parts.push(format!("schedule becomes {}", new.schedule));
    }
    if old.paused_until != new.paused_until {
        parts.push(new.paused_until.map_or_else(
            || "no longer paused".to_owned(),
            |until| {
                format!(
                    "paused until {}",
                    until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
                )
            },
        ));
    }
    if old.shared != new.shared {
        parts.push(format!("shared becomes {}", new.shared));
    }
    if old.cross_lists != new.cross_lists {
        parts.push(format!("cross_lists becomes {}", new.cross_lists));
    }
    let keywords = |person: &Resolved| -> BTreeMap<String, Vec<Definition>> {
        let mut map: BTreeMap<String, Vec<Definition>> = BTreeMap::new();
        for (heading, definition) in person.keywords() {
            map.entry(heading.clone()).or_default().push(definition.clone());
        }
        map
    };
    let (before, after) = (keywords(old), keywords(new));
    for (heading, definitions) in &before {
        match after.get(heading) {
            None => parts.push(format!("without {heading:?}")),
            Some(now) if now != definitions => parts.push(format!("{heading:?} changed")),
            Some(_) => {}
        }
    }
    let added = after.keys().filter(|heading| !before.contains_key(*heading));
    parts.extend(added.map(|heading| format!("with {heading:?}")));
    if parts.is_empty() {
        parts.push("keywords in another order".to_owned());
    }
    parts
}
