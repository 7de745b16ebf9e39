//! The configured people joined with what the store knows of them: who gets what.
//!
//! The configuration says who subscribes to what now; the store knows since when, up to which floor, and
//! who must not be mailed. Everything that goes over all subscribers goes in chunks, so that memory does
//! not grow with their number.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use ring::digest::{Context, SHA256};

use crate::{
    model::{ArxivId, Definition, Paper, SharedKeyword, SubscriberId, SubscriberState, Suppression},
    schedule::Schedule,
    store::{Batch, DocumentKind, Store, StoreError, Versioned, documents},
};

/// How many subscribers are read and written together.
pub const CHUNK: usize = 500;
/// How often a write that somebody else overtook is decided again.
const CONFLICTS_MAX: usize = 20;

/// One configured subscriber.
#[derive(Debug, Clone)]
pub struct Person {
    /// The lasting name.
    pub id: SubscriberId,
    /// Where mail goes, the domain in ASCII form.
    pub address: String,
    /// The name in front of the address.
    pub name: Option<String>,
    /// When digests go out, in which zone.
    pub schedule: Schedule,
    /// Configured pause.
    pub paused_until: Option<DateTime<Utc>>,
    /// Whether the address is a list's.
    pub shared: bool,
    /// The keywords in configured order: heading and meaning.
    pub keywords: Vec<SharedKeyword>,
}

impl Person {
    /// The keywords in configured order: heading and meaning.
    pub fn keywords(&self) -> impl Iterator<Item = &(String, Definition)> {
        self.keywords.iter().map(|wanted| &**wanted)
    }
}

/// Everyone who is configured.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    people: Vec<Arc<Person>>,
    /// Their places in the order of their identifiers.
    by_id: Vec<u32>,
}

impl Roster {
    /// A roster of these people; identifiers are unique by the configuration's checks.
    pub fn new(people: Vec<Person>) -> Self {
        let people: Vec<Arc<Person>> = people.into_iter().map(Arc::new).collect();
        let mut by_id: Vec<u32> = (0..).take(people.len()).collect();
        by_id.sort_unstable_by(|a, b| people[*a as usize].id.cmp(&people[*b as usize].id));
        Self { people, by_id }
    }

    /// Everyone, in configured order.
    pub fn people(&self) -> &[Arc<Person>] {
        &self.people
    }

    /// One person.
    pub fn get(&self, id: &SubscriberId) -> Option<&Arc<Person>> {
        let place = self
            .by_id
            .binary_search_by(|index| self.people[*index as usize].id.cmp(id));
        let index = self.by_id[place.ok()?];
        Some(&self.people[index as usize])
    }

    /// Each schedule once, with how many follow it, in the order in which they are configured.
    pub fn schedules(&self) -> Vec<(&Schedule, usize)> {
        let mut places: HashMap<(&str, &str), usize> = HashMap::new();
        let mut schedules: Vec<(&Schedule, usize)> = Vec::new();
        for person in &self.people {
            let schedule = &person.schedule;
            let place = *places
                .entry((schedule.text(), schedule.zone().name()))
                .or_insert_with(|| {
                    schedules.push((schedule, 0));
                    schedules.len() - 1
                });
            schedules[place].1 += 1;
        }
        schedules
    }

    /// What identifies who subscribes to what: workers that share a state must agree on it.
    pub fn fingerprint(&self) -> String {
        let mut context = Context::new(&SHA256);
        for index in &self.by_id {
            let person = &self.people[*index as usize];
            context.update(format!("{:?}\n", (&person.id, &person.address, &person.keywords)).as_bytes());
        }
        let digest = context.finish();
        digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The person with that lasting name or address.
    pub fn find(&self, name: &str) -> Option<&Arc<Person>> {
        self.people
            .iter()
            .find(|person| *person.id.0 == *name || person.address.eq_ignore_ascii_case(name))
    }
}

/// What a synchronisation found.
#[derive(Debug, Default)]
pub struct Synchronised {
    /// All wordings that decide about papers, present and former ones.
    pub definitions: BTreeSet<Definition>,
    /// From when wordings count whose floor is not known yet.
    pub undetermined: BTreeSet<DateTime<Utc>>,
    /// Papers whose later versions matter, whatever they say.
    pub followed: Followed,
    /// How many people were seen for the first time.
    pub n_added: usize,
    /// How many known people are no longer configured.
    pub n_absent: usize,
}

/// Papers whose later versions matter, whether they match anything or not: an author who withdraws a paper mostly takes
/// its abstract away too.
#[derive(Debug, Default)]
pub struct Followed {
    /// Papers that were sent where replacements are listed, with the lowest version that anybody got.
    got: HashMap<ArxivId, u16>,
    /// Papers that wait for somebody's digest.
    waiting: HashSet<ArxivId>,
}

impl Followed {
    fn add(&mut self, state: &SubscriberState) {
        for (id, (version, _)) in &state.versions {
            let lowest = self.got.entry(id.clone()).or_insert(*version);
            *lowest = (*lowest).min(*version);
        }
        self.waiting.extend(state.pending.keys().cloned());
    }

    /// Whether a later version of this paper may matter.
    pub fn holds(&self, id: &ArxivId) -> bool {
        self.got.contains_key(id) || self.waiting.contains(id)
    }

    /// Whether this is a later version of a paper that somebody got, or withdraws one that somebody waits for.
    pub fn awaits(&self, paper: &Paper) -> bool {
        self.got.get(&paper.id).is_some_and(|got| paper.version > *got)
            || (paper.withdrawn && self.waiting.contains(&paper.id))
    }
}

/// Brings the stored states in line with the configuration, and collects what the run must look for.
pub async fn synchronise(store: &dyn Store, roster: &Roster, now: DateTime<Utc>) -> Result<Synchronised, StoreError> {
    let mut found = Synchronised::default();
    let ids: Vec<SubscriberId> = roster.people().iter().map(|person| person.id.clone()).collect();
    for chunk in ids.chunks(CHUNK) {
        update(store, chunk, |state| {
            let Some(person) = roster.get(&state.value.id) else {
                return false;
            };
            found.n_added += usize::from(state.revision == 0);
            let changed = state.value.configure(&person.keywords, now);
            for generation in state.value.configured_pairs().flat_map(|pair| &pair.generations) {
                if !found.definitions.contains(&generation.definition) {
                    found.definitions.insert(generation.definition.clone());
                }
            }
            found.undetermined.extend(state.value.undetermined());
            found.followed.add(&state.value);
            changed
        })
        .await?;
    }
    let gone: Vec<SubscriberId> = store
        .subscriber_ids()
        .await?
        .into_iter()
        .filter(|id| roster.get(id).is_none())
        .collect();
    for chunk in gone.chunks(CHUNK) {
        update(store, chunk, |state| state.value.remove()).await?;
    }
    found.n_absent = gone.len();
    Ok(found)
}

/// Changes the states of some subscribers; `change` says whether it changed anything and is called again
/// for all of them when another writer was faster.
pub async fn update(
    store: &dyn Store,
    ids: &[SubscriberId],
    mut change: impl FnMut(&mut Versioned<SubscriberState>) -> bool,
) -> Result<(), StoreError> {
    for _ in 0..CONFLICTS_MAX {
        let mut states = store.subscribers(ids).await?;
        states.retain_mut(|state| change(state));
        if states.is_empty() {
            return Ok(());
        }
        match store
            .commit(Batch {
                subscribers: states,
                ..Batch::default()
            })
            .await
        {
            Err(StoreError::Conflict(_)) => {}
            done => return done,
        }
    }
    Err(StoreError::Conflict("a subscriber's state".to_owned()))
}

/// The key under which an address is suppressed: in lower case, so that spelling does not matter.
pub fn suppression_key(address: &str) -> String {
    address.to_lowercase()
}

/// All suppressions by key.
pub async fn suppressions(store: &dyn Store) -> Result<HashMap<String, Suppression>, StoreError> {
    let all = documents::load_all::<Suppression>(store, DocumentKind::Suppression).await?;
    Ok(all.into_iter().map(|(key, stored)| (key, stored.value)).collect())
}

/// A subscriber's name for the log: enough to tell two apart, not enough to write to them.
pub fn masked(id: &SubscriberId) -> String {
    match id.0.split_once('@') {
        Some((local, domain)) => format!("{}…@{domain}", local.chars().next().unwrap_or('?')),
        None => id.to_string(),
    }
}
