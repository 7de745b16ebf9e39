//! Which slots have come, and which were completed: so that each runs once.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::{
    model::Slot,
    schedule::{Due, Schedule, due},
    store::{Batch, DocumentKind, Store, StoreError, Versioned, documents},
};

/// The last completed slot of every schedule and zone.
#[derive(Debug)]
pub struct SlotBook {
    /// By schedule and zone: the last completed slot, or when the schedule was first seen.
    last: BTreeMap<String, Versioned<DateTime<Utc>>>,
    /// Schedules seen for the first time.
    new: Vec<String>,
    /// Slots that have come and are being served.
    serving: BTreeMap<String, DateTime<Utc>>,
}

impl SlotBook {
    /// Reads the book.
    pub async fn load(store: &dyn Store) -> Result<Self, StoreError> {
        let last = documents::load_all(store, DocumentKind::Slot)
            .await?
            .into_iter()
            .collect();
        Ok(Self {
            last,
            new: Vec::new(),
            serving: BTreeMap::new(),
        })
    }

    /// The slot of a schedule that has come and is not completed yet, if there is one: the latest of several that
    /// were missed. A schedule seen for the first time counts from now.
    pub fn due(&mut self, schedule: &Schedule, now: DateTime<Utc>) -> Option<Slot> {
        let key = key(schedule);
        let new = &mut self.new;
        let last = self.last.entry(key.clone()).or_insert_with(|| {
            new.push(key.clone());
            Versioned::new(now)
        });
        match due(schedule, last.value, now) {
            Due::NotYet { .. } => None,
            Due::Run { slot_at } => {
                self.serving.insert(key, slot_at);
                Some(schedule.slot(slot_at))
            }
            Due::Missed { slot_at, n_coalesced } => {
                if self.serving.insert(key, slot_at) != Some(slot_at) {
                    tracing::warn!(run.slot = %schedule.slot(slot_at), n_coalesced, "slots were missed; one run catches up");
                }
                Some(schedule.slot(slot_at))
            }
        }
    }

    /// The first slot of a schedule that has come and is not completed; `None` also for a schedule that was never seen.
    pub fn unserved(&self, schedule: &Schedule, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let last = self.last.get(&key(schedule))?.value;
        Some(schedule.next_after(last)).filter(|next| *next <= now)
    }

    /// Writes the schedules that were seen for the first time.
    pub async fn save(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let new = std::mem::take(&mut self.new);
        self.write(store, new).await
    }

    /// Completes the slots that [`SlotBook::due`] named.
    pub async fn complete(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let serving = std::mem::take(&mut self.serving);
        let mut keys = Vec::new();
        for (key, slot_at) in serving {
            if let Some(last) = self.last.get_mut(&key) {
                last.value = slot_at;
                keys.push(key);
            }
        }
        self.write(store, keys).await
    }

    async fn write(&mut self, store: &dyn Store, keys: Vec<String>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for key in keys {
            if let Some(last) = self.last.get_mut(&key) {
                batch
                    .documents
                    .push(documents::to_write(DocumentKind::Slot, &key, last)?);
                last.revision += 1;
            }
        }
        if batch.is_empty() {
            Ok(())
        } else {
            store.commit(batch).await
        }
    }
}

fn key(schedule: &Schedule) -> String {
    format!("{} {}", schedule.zone(), schedule.text())
}
