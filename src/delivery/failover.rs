//! Which relay a mail is handed to: the first that is not at rest.
//!
//! A relay fails for all mails or for none: one that cannot be reached, refuses us or fails again and again is put to
//! rest, and mails go to the next. When its rest is over it is tried again with the next mail, so that all go back to
//! the first as soon as it is well. What a relay says of one recipient or one message is never asked elsewhere.

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;

use super::{
    Context,
    settle::{in_words, is_relay_trouble},
};
use crate::{
    model::{Outcome, RelayFailure, RelayTrouble, Stage},
    store::{StoreError, relays},
};

/// The relays in the order of the configuration, and what is wrong with each.
#[derive(Debug)]
pub(super) struct Failover {
    names: Vec<String>,
    troubles: Mutex<Vec<Option<RelayTrouble>>>,
}

impl Failover {
    /// What is remembered of several relays; a single one begins each turn of the pump anew. Where all are at rest, all
    /// are tried.
    pub(super) async fn load(ctx: &Context) -> Result<Self, StoreError> {
        let names = ctx.transport.names();
        let mut troubles: Vec<Option<RelayTrouble>> = vec![None; names.len()];
        if names.len() > 1 {
            let known = relays::troubles(&*ctx.store).await?;
            troubles = names.iter().map(|name| known.get(name).cloned()).collect();
            let now = ctx.clock.now();
            if troubles.iter().all(|trouble| is_resting(trouble.as_ref(), now)) {
                for trouble in troubles.iter_mut().flatten() {
                    trouble.rests_until = None;
                }
            }
        }
        Ok(Self {
            names,
            troubles: Mutex::new(troubles),
        })
    }

    /// The first relay from `from` on that is not at rest.
    pub(super) async fn choose(&self, from: usize, now: DateTime<Utc>) -> Option<usize> {
        let troubles = self.troubles.lock().await;
        (from..troubles.len()).find(|relay| !is_resting(troubles[*relay].as_ref(), now))
    }

    /// The relay's name, where there are several.
    pub(super) fn name(&self, relay: usize) -> Option<String> {
        self.names.get(relay).filter(|_| self.names.len() > 1).cloned()
    }

    /// Counts what an attempt through a relay came to. Returns whether no relay is left to which anything could be
    /// handed.
    pub(super) async fn note(&self, ctx: &Context, relay: usize, outcome: &Outcome) -> Result<bool, StoreError> {
        let now = ctx.clock.now();
        let mut troubles = self.troubles.lock().await;
        let Some(trouble) = troubles.get_mut(relay) else {
            return Ok(false);
        };
        let was_known = trouble.as_ref().is_some_and(|trouble| trouble.n_rests > 0);
        *trouble = self.failure(outcome).map(|failure| {
            let first_rest = ctx.settings.policy.retry_delay;
            RelayTrouble::after(trouble.as_ref(), failure, first_rest, now)
        });
        let is_known = trouble.as_ref().is_some_and(|trouble| trouble.n_rests > 0);
        if self.names.len() > 1 && (was_known || is_known) {
            let name = &self.names[relay];
            match &*trouble {
                Some(trouble) => tracing::warn!(
                    relay = name,
                    why = trouble.why,
                    until = ?trouble.rests_until,
                    "a relay is put to rest; mail goes through the next one meanwhile"
                ),
                None => tracing::info!(relay = name, "a relay takes mail again"),
            }
            relays::note(&*ctx.store, &self.names, name, trouble.as_ref()).await?;
        }
        Ok(troubles.iter().all(|trouble| is_resting(trouble.as_ref(), now)))
    }

    /// The outcome as a failure of the relay, if it is one.
    fn failure(&self, outcome: &Outcome) -> Option<RelayFailure> {
        if !is_relay_trouble(outcome) {
            return None;
        }
        let (needs_operator, is_unreachable) = match outcome {
            Outcome::Configuration { .. } => (true, false),
            Outcome::TransientRelay { stage, .. } => (false, *stage < Stage::Mail),
            Outcome::Accepted { .. }
            | Outcome::TransientRecipient { .. }
            | Outcome::PermanentRecipient { .. }
            | Outcome::PermanentMessage { .. }
            | Outcome::Unconfirmed { .. } => (false, false),
        };
        Some(RelayFailure {
            why: in_words(outcome),
            needs_operator,
            // Where there is another, no mail waits for a second silence.
            is_grave: needs_operator || (is_unreachable && self.names.len() > 1),
        })
    }
}

fn is_resting(trouble: Option<&RelayTrouble>, now: DateTime<Utc>) -> bool {
    trouble.is_some_and(|trouble| trouble.is_resting(now))
}
