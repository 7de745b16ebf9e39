//! Cards made before: subscribers of the same papers share them.
//!
//! A card depends on the paper's text, on where the subscriber's keywords stand in it, and on how much of it is shown;
//! not on who reads it. So it is made once, and what a template makes of it is kept too (see [`remember`]).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use minijinja::{AutoEscape, Environment, State, Value, value::Rest};

use super::Marks;
use crate::model::{Paper, Shown, VersionedId};

/// How many cards are kept, some kilobytes each; beyond that all are made anew.
const CARDS_MAX: usize = 4_000;
/// How many renderings of cards are kept: HTML and text, as the first of a section and as a later one.
const RENDERINGS_MAX: usize = 4 * CARDS_MAX;

/// All that a card is made from besides the paper's text and the settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CardKey {
    pub(super) id: VersionedId,
    pub(super) shown: Shown,
    pub(super) marks: Marks,
    /// The day of submission as it is written for this reader.
    pub(super) day: Option<String>,
    /// The further keywords as they are named.
    pub(super) also: Option<String>,
}

/// A card for the templates, and what the sentences around it count.
#[derive(Debug)]
pub(super) struct MadeCard {
    pub(super) value: Value,
    pub(super) title_only: bool,
    /// Whether the abstract was cut.
    pub(super) is_shortened: bool,
}

/// A card and the text that it was made of, since a paper's text may be corrected under the same version.
type Kept = (Arc<Paper>, Arc<MadeCard>);

/// Cards by what they are made from.
#[derive(Debug, Default)]
pub(super) struct KeptCards {
    cards: Mutex<HashMap<CardKey, Kept>>,
}

/// How many cards this process has made: no two have one number, whatever templates they meet.
static N_MADE: AtomicU64 = AtomicU64::new(0);

impl KeptCards {
    /// The kept card of this paper, or what `make` makes of a number that no other card has.
    pub(super) fn get(&self, key: CardKey, paper: &Arc<Paper>, make: impl FnOnce(u64) -> MadeCard) -> Arc<MadeCard> {
        let lock = || self.cards.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, card)) = lock().get(&key)
            && (Arc::ptr_eq(of, paper) || of == paper)
        {
            return Arc::clone(card);
        }
        let card = Arc::new(make(N_MADE.fetch_add(1, Ordering::Relaxed)));
        let mut cards = lock();
        if cards.len() >= CARDS_MAX {
            cards.clear();
        }
        cards.insert(key, (Arc::clone(paper), Arc::clone(&card)));
        card
    }
}

/// Which rendering: HTML or text, by which macro, of which card, with which further words.
type RenderingKey = (bool, String, u64, Vec<bool>);

/// Gives templates `kept(macro, paper, …)`: what the macro makes of a card with a `number`, made once for all mails. The
/// macro may depend on its arguments only, of which those that are true or false may differ.
pub(super) fn remember(env: &mut Environment<'_>) {
    let renderings: Mutex<HashMap<RenderingKey, Value>> = Mutex::default();
    env.add_function(
        "kept",
        move |state: &mut State<'_, '_>, made_by: Value, args: Rest<Value>| -> Result<Value, minijinja::Error> {
            let number = args.first().map(|paper| paper.get_attr("number")).transpose()?;
            let Some(number) = number.and_then(|number| u64::try_from(number).ok()) else {
                return made_by.call(state, &args);
            };
            let is_html = !matches!(state.auto_escape(), AutoEscape::None);
            let name = made_by.get_attr("name")?.to_string();
            let words = args.iter().filter_map(|arg| bool::try_from(arg.clone()).ok()).collect();
            let key = (is_html, name, number, words);
            let lock = || renderings.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(kept) = lock().get(&key) {
                return Ok(kept.clone());
            }
            let rendered = made_by.call(state, &args)?;
            let mut kept = lock();
            if kept.len() >= RENDERINGS_MAX {
                kept.clear();
            }
            kept.insert(key, rendered.clone());
            Ok(rendered)
        },
    );
}
