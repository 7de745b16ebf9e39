//! The two halves of a digest that was refused as a message.

use chrono::{DateTime, Utc};

use super::Context;
use crate::{
    model::{DigestId, DigestKind, DigestRecord, OutboxEntry, SubscriberState, Welcome},
    store::Versioned,
};

/// The two halves of a digest that was refused as a message.
pub(super) fn halves(
    ctx: &Context,
    whole: &OutboxEntry,
    state: &mut SubscriberState,
    now: DateTime<Utc>,
) -> Vec<Versioned<OutboxEntry>> {
    let n_first = whole.digest.papers().count().div_ceil(2);
    [true, false]
        .into_iter()
        .map(|is_first| {
            let digest = half(&whole.digest, n_first, is_first);
            let ids: Vec<_> = digest.papers().map(|paper| paper.id.clone()).collect();
            let number = state.enqueue(&ids, now);
            if digest.kind == DigestKind::Welcome {
                state.welcome = Welcome::By(number);
            }
            let id = DigestId {
                number,
                ..digest.id.clone()
            };
            let message_id = ctx.composer.keys.message_id(&id, domain(&whole.message_id));
            let record = DigestRecord {
                id,
                frozen_at: now,
                ..digest
            };
            Versioned::new(OutboxEntry {
                is_half: true,
                ..OutboxEntry::new(record, message_id)
            })
        })
        .collect()
}

/// The first `n_first` papers of a digest, or the rest.
fn half(whole: &DigestRecord, n_first: usize, is_first: bool) -> DigestRecord {
    let mut position = 0;
    let mut half = whole.clone();
    for section in &mut half.sections {
        section.papers.retain(|_| {
            position += 1;
            (position <= n_first) == is_first
        });
    }
    half.sections.retain(|section| !section.papers.is_empty());
    if !is_first {
        // Nobody is welcomed twice.
        half.kind = DigestKind::Digest;
    }
    half
}

fn domain(message_id: &str) -> &str {
    message_id
        .trim_end_matches('>')
        .rsplit_once('@')
        .map_or("localhost.invalid", |(_, domain)| domain)
}
