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

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, State, Value,
    value::{Rest, ValueKind},
};

use super::{
    Marks,
    body::{Body, Passage},
    squeezed,
};
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

/// The numbers of what is no card and never changes: the two palettes.
pub(super) const CONSTANTS: [u64; 2] = [0, 1];
/// The next card's number: no two have the same, whatever templates they meet.
static N_MADE: AtomicU64 = AtomicU64::new(CONSTANTS.len() as u64);

impl KeptCards {
    /// The kept card of this paper, or what `make` makes of a number that no other card has.
    pub(super) fn get(
        &self,
        key: CardKey,
        paper: &Arc<Paper>,
        make: impl FnOnce(u64, &CardKey) -> MadeCard,
    ) -> Arc<MadeCard> {
        let lock = || self.cards.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, card)) = lock().get_mut(&key)
            && of == paper
        {
            // Asked for again, it is seen to be the same by its address.
            of.clone_from(paper);
            return Arc::clone(card);
        }
        let card = Arc::new(make(N_MADE.fetch_add(1, Ordering::Relaxed), &key));
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

/// What stands in a template's output where a passage goes: its place in [`Shared`] between two characters that no
/// other value can bring in, since [`super::clean::is_banned`] names them.
const MARK: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];

/// The passages that one page names, in the order of their marks.
#[derive(Debug, Default)]
struct Shared {
    passages: Vec<Arc<Passage>>,
    /// A macro that makes one is running: what it keeps in its turn is part of that.
    is_making: bool,
}

/// Gives templates `kept(macro, paper, …)`: what the macro makes of a card or a palette, which have a `number`, made once
/// for all mails. The macro may depend on its arguments only, of which those that are true or false may differ.
pub(super) fn remember(env: &mut Environment<'_>) {
    let renderings: Mutex<HashMap<RenderingKey, Arc<Rendering>>> = Mutex::default();
    env.add_function(
        "kept",
        move |state: &mut State<'_, '_>, made_by: Value, args: Rest<Value>| -> Result<Value, Error> {
            let number = args.first().map(|paper| paper.get_attr("number")).transpose()?;
            let number = number.and_then(|number| u64::try_from(number).ok());
            let is_within = state.get_extension::<Shared>().is_some_and(|shared| shared.is_making);
            let Some(number) = number.filter(|_| !is_within) else {
                return made_by.call(state, &args);
            };
            let is_html = matches!(state.auto_escape(), AutoEscape::Html);
            let name = made_by.get_attr("name")?.to_string();
            let words = args.iter().filter(|arg| arg.kind() == ValueKind::Bool);
            let words = words.map(Value::is_true).collect();
            let key = (is_html, name, number, words);
            let lock = || renderings.lock().unwrap_or_else(PoisonError::into_inner);
            let known = lock().get(&key).cloned();
            let rendering = match known {
                Some(rendering) => rendering,
                None => {
                    shared(state).is_making = true;
                    let text = made_by.call(state, &args)?;
                    shared(state).is_making = false;
                    let rendering = Arc::new(Rendering::new(text.as_str().unwrap_or_default(), is_html));
                    let mut kept = lock();
                    if kept.len() >= RENDERINGS_MAX {
                        kept.clear();
                    }
                    kept.insert(key, Arc::clone(&rendering));
                    rendering
                }
            };
            Ok(Value::from_safe_string(rendering.mark(state)))
        },
    );
}

/// What a macro made of a card: a passage, and the line ends around it, which belong to the page.
#[derive(Debug)]
struct Rendering {
    n_before: usize,
    passage: Arc<Passage>,
    n_after: usize,
}

impl Rendering {
    fn new(text: &str, is_html: bool) -> Self {
        let begun = text.trim_start_matches('\n');
        let lines = begun.trim_end_matches('\n');
        Self {
            n_before: text.len() - begun.len(),
            passage: Arc::new(if is_html {
                Passage::new(lines)
            } else {
                Passage::new(squeezed(lines).trim_end_matches('\n'))
            }),
            n_after: begun.len() - lines.len(),
        }
    }

    /// Stands for it in the output.
    fn mark(&self, state: &mut State<'_, '_>) -> String {
        let passages = &mut shared(state).passages;
        let [begin, end] = MARK;
        let number = passages.len();
        passages.push(Arc::clone(&self.passage));
        let (before, after) = ("\n".repeat(self.n_before), "\n".repeat(self.n_after));
        format!("{before}{begin}{number}{end}{after}")
    }
}

fn shared<'s>(state: &'s mut State<'_, '_>) -> &'s mut Shared {
    state.get_or_insert_extension_with(Shared::default)
}

/// A template's output with its passages in their places.
///
/// # Errors
/// A passage is missing, there twice, or was changed: the template did something else with it than putting it out.
pub(super) fn fill(output: &str, state: &State<'_, '_>) -> Result<Body, Error> {
    let passages = state
        .get_extension::<Shared>()
        .map_or(&[][..], |shared| &shared.passages);
    let changed = || {
        let words = "what kept() gives must be put out once, as it is";
        Error::new(ErrorKind::InvalidOperation, words)
    };
    let mut body = Body::default();
    let mut is_put_out = vec![false; passages.len()];
    let mut rest = output;
    while let Some((before, marked)) = rest.split_once(MARK[0]) {
        let (number, after) = marked.split_once(MARK[1]).ok_or_else(changed)?;
        let number: usize = number.parse().map_err(|_| changed())?;
        let (passage, is_put_out) = passages
            .get(number)
            .zip(is_put_out.get_mut(number))
            .ok_or_else(changed)?;
        if std::mem::replace(is_put_out, true) {
            return Err(changed());
        }
        body.push(before);
        // A passage brings the end of its last line along.
        match after.strip_prefix('\n') {
            Some(next_line) => {
                body.share(passage);
                rest = next_line;
            }
            None => {
                body.push(passage.lines());
                rest = after;
            }
        }
    }
    body.push(rest);
    is_put_out.into_iter().all(|is| is).then_some(body).ok_or_else(changed)
}
