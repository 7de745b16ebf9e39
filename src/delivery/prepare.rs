//! A leased digest → its mail, unless it must not or cannot go now.

use chrono::TimeDelta;

use super::{
    Context, Turn,
    addressee::{Addressee, cancel, look_at},
    conclude::unless_overtaken,
};
use crate::{
    mail::{
        beside,
        compose::{ComposeError, Composed, Papers},
    },
    model::{DigestRecord, EntryState, OutboxEntry, PaperRecord, SubscriberState, VersionedId},
    store::{self, Batch, StoreError, Versioned},
};

/// A digest that waits for its papers' text is looked at again after this.
const TEXTS_RETRY: TimeDelta = TimeDelta::minutes(30);

/// After this it is held for the operator.
const TEXTS_AWAITED: TimeDelta = TimeDelta::days(5);

/// How many papers' texts a turn keeps, some kilobytes each.
const PAPERS_MAX: usize = 4_000;

/// A leased digest and its mail.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) entry: Versioned<OutboxEntry>,
    pub(super) state: Versioned<SubscriberState>,
    pub(super) mail: Result<Vec<u8>, ComposeError>,
}

/// Makes the mail of a leased digest, unless it must not or cannot go now.
pub(super) async fn prepare(
    ctx: &Context,
    mut entry: Versioned<OutboxEntry>,
    turn: &Turn,
) -> Result<Option<Prepared>, StoreError> {
    let (looked_at, papers) = tokio::try_join!(
        look_at(ctx, &entry.value.digest),
        papers_of(ctx, &entry.value.digest, turn),
    )?;
    let state = match looked_at {
        Addressee::Wanted(state) => *state,
        Addressee::Cancelled(why) => return cancel(ctx, entry, why).await.map(|()| None),
    };
    if ctx.settings.policy.hold_unconfirmed && entry.value.n_unconfirmed > 0 && !entry.value.is_released {
        // The process before this one may have sent it.
        tracing::error!(
            digest.id = entry.value.digest.id.number,
            "digest held: the relay may have it"
        );
        entry.value.state = EntryState::Held;
        turn.delivered.lock().await.unconfirmed += 1;
        return unless_overtaken(ctx, entry).await.map(|()| None);
    }
    let papers_named = entry.value.digest.papers();
    let n_missing = papers_named
        .filter(|paper| !papers.contains_key(&paper.versioned_id()))
        .count();
    if n_missing > 0 {
        return wait_for_texts(ctx, entry, n_missing, turn).await.map(|()| None);
    }
    let composed = beside::compose(&ctx.composer, &entry.value, papers).await;
    let mail = composed.map(|composed| {
        fingerprint(ctx, &mut entry.value, &composed);
        composed.bytes
    });
    Ok(Some(Prepared { entry, state, mail }))
}

/// The text of a digest's papers, as this turn first read them; what is not stored is left out.
async fn papers_of(ctx: &Context, digest: &DigestRecord, turn: &Turn) -> Result<Papers, StoreError> {
    let mut known = turn.papers.lock().await;
    let ids: Vec<VersionedId> = digest.papers().map(PaperRecord::versioned_id).collect();
    if ids.iter().any(|id| !known.contains_key(id)) {
        if known.len() + ids.len() > PAPERS_MAX {
            known.clear();
        }
        let read = store::papers_by_id(&*ctx.store, &ids).await?;
        known.extend(read);
    }
    Ok(ids
        .into_iter()
        .filter_map(|id| known.get(&id).cloned().map(|paper| (id, paper)))
        .collect())
}

/// Puts a digest off of whose papers the text is not stored, as after a recovery: sent without it, the mail would
/// call papers sent that nobody saw. A fetch brings the text back; where none does, the operator decides.
async fn wait_for_texts(
    ctx: &Context,
    mut entry: Versioned<OutboxEntry>,
    n_missing: usize,
    turn: &Turn,
) -> Result<(), StoreError> {
    let now = ctx.clock.now();
    let is_over = now - entry.value.digest.frozen_at > TEXTS_AWAITED;
    tracing::warn!(
        digest.id = entry.value.digest.id.number,
        n_missing,
        held = is_over,
        "the text of papers in this digest is not stored; it waits until they are fetched again"
    );
    entry.value.n_attempts = entry.value.n_attempts.saturating_sub(1);
    entry.value.next_attempt = now + TEXTS_RETRY;
    entry.value.state = if is_over { EntryState::Held } else { EntryState::Due };
    turn.delivered.lock().await.retrying += 1;
    ctx.store
        .commit(Batch {
            entries: vec![entry],
            ..Batch::default()
        })
        .await
}

/// Notes what the bytes are, and says so when they are not those of the attempt before.
fn fingerprint(ctx: &Context, entry: &mut OutboxEntry, composed: &Composed) {
    let fingerprint = ctx.composer.fingerprint();
    if let Some(before) = &entry.sha256
        && *before != composed.sha256
    {
        let is_same_program = entry.fingerprint.as_ref() == Some(&fingerprint);
        tracing::warn!(
            digest.id = entry.digest.id.number,
            is_same_program,
            "the mail is not byte for byte that of the attempt before; its Message-ID, papers and order are"
        );
    }
    entry.sha256 = Some(composed.sha256.clone());
    entry.fingerprint = Some(fingerprint);
}
