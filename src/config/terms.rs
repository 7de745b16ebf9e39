//! Words to look for: phrases, names, categories, and what makes one unusable.

use crate::model::{Term, TermKind};

use super::{
    TermCheck,
    category::check_category,
    mailbox::{Wrong, refuse_hidden},
    people::Reading,
    problems::{Place, Sink, quote},
    section::Section,
};

/// The longest phrase, name or author, in characters.
pub(super) const PHRASE_CHARS_MAX: usize = 300;
/// The longest query, in characters.
pub(super) const QUERY_CHARS_MAX: usize = 4_000;
/// The most entries of one list of a subscriber.
const LIST_MAX: usize = 1_000;
/// Reads a list of phrases and names of `[[keyword]]` tables.
pub(super) fn read_terms(texts: &[(String, Place)], reading: &Reading<'_>) -> Vec<String> {
    let names: Vec<&str> = reading.names.iter().map(String::as_str).collect();
    let mut terms = Vec::new();
    for (text, place) in bounded(texts, reading.sink) {
        let Some(text) = checked_text(text, place, PHRASE_CHARS_MAX, reading.sink) else {
            continue;
        };
        if !names.contains(&text.as_str()) {
            if let Some(name) = near_miss(&text, &names) {
                let what = format!("{} is read as a phrase", quote(&text));
                reading.sink.warn(
                    place,
                    what,
                    format!("if the [[keyword]] {name:?} is meant, write it so"),
                );
            }
            if !check_term(&Term::phrase(text.clone()), place, reading.sink, reading.check) {
                continue;
            }
        }
        push_once(&mut terms, text, place, reading.sink);
    }
    terms
}

/// The name that was probably meant: it differs in capitals, blanks and signs, or in one letter of several.
fn near_miss<'n>(text: &str, names: &[&'n str]) -> Option<&'n str> {
    const LETTERS_MIN: usize = 4;
    let bare = |text: &str| -> String {
        let letters = text.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    let wanted = bare(text);
    names.iter().copied().find(|name| {
        let name = bare(name);
        let is_long = name.chars().count() >= LETTERS_MIN && wanted.chars().count() >= LETTERS_MIN;
        name == wanted || is_long && strsim::damerau_levenshtein(&name, &wanted) == 1
    })
}

pub(super) fn read_list(
    texts: &[(String, Place)],
    sink: &Sink,
    check: &TermCheck<'_>,
    term: impl Fn(String) -> Term,
) -> Vec<String> {
    let mut list = Vec::new();
    for (text, place) in bounded(texts, sink) {
        if let Some(text) = checked_text(text, place, PHRASE_CHARS_MAX, sink)
            && check_term(&term(text.clone()), place, sink, check)
        {
            push_once(&mut list, text, place, sink);
        }
    }
    list
}

fn bounded<'t>(texts: &'t [(String, Place)], sink: &Sink) -> &'t [(String, Place)] {
    let (first, rest) = texts.split_at(texts.len().min(LIST_MAX));
    if let Some((_, place)) = rest.first() {
        sink.refuse(
            place,
            format!("the list has {} entries", texts.len()),
            format!("allowed: up to {LIST_MAX}"),
        );
    }
    first
}

fn push_once(list: &mut Vec<String>, text: String, place: &Place, sink: &Sink) {
    if list.contains(&text) {
        sink.warn(
            place,
            format!("{} stands twice in this list", quote(&text)),
            "remove one",
        );
    } else {
        list.push(text);
    }
}

/// The text with white space folded, if it is not blank, not too long and free of hidden characters.
pub(super) fn checked_text(text: &str, place: &Place, chars_max: usize, sink: &Sink) -> Option<String> {
    // White space of queries that span lines is folded like any other.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().all(|c| c.is_whitespace() || matches!(c, '"' | '\'')) {
        sink.refuse(place, format!("{} is blank", quote(&text)), "write a word or remove it");
        return None;
    }
    if text.chars().count() > chars_max {
        let what = format!("{} is longer than {chars_max} characters", quote(&text));
        sink.refuse(place, what, "shorten it");
        return None;
    }
    checked(refuse_hidden(&text), place, sink)?;
    Some(text)
}

/// Asks the plugged-in check about the term; whether it can be used.
pub(super) fn check_term(term: &Term, place: &Place, sink: &Sink, check: &TermCheck<'_>) -> bool {
    match check(term) {
        Err(what) => {
            sink.refuse(place, what, "");
            false
        }
        Ok(warnings) => {
            let is_single = term.kind == TermKind::Phrase && term.text.chars().count() == 1;
            if is_single && warnings.is_empty() {
                let what = format!(
                    "{} is a single letter and may fit a great many papers",
                    quote(&term.text)
                );
                sink.warn(place, what, "restrict it by categories");
            }
            for warning in warnings {
                sink.warn(place, warning, "");
            }
            true
        }
    }
}

pub(super) fn read_categories(table: &Section<'_>) -> Vec<String> {
    let texts = table.strings("categories").unwrap_or_default();
    let mut categories: Vec<String> = Vec::new();
    for (text, place) in bounded(&texts, table.sink()) {
        match check_category(text) {
            Ok(()) => push_once(&mut categories, text.clone(), place, table.sink()),
            Err(mend) => table
                .sink()
                .refuse(place, format!("{} is not a category", quote(text)), mend),
        }
    }
    categories
}

/// The value, or its fault in the sink.
pub(super) fn checked<T>(result: Result<T, Wrong>, place: &Place, sink: &Sink) -> Option<T> {
    result.map_err(|wrong| sink.refuse(place, wrong.what, wrong.mend)).ok()
}
