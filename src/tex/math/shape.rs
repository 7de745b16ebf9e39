//! What a part of a formula looks like: one letter, a number, something that needs brackets.

use super::super::accents::compose;
use super::super::pieces::Pieces;
use super::super::{Style, runs_to_text};

/// The base with the accent on it: on its only letter, or, for a line, on each.
pub(super) fn accent<'s>(source: &'s str, base: &Pieces<'s>, mark: char, name: &str) -> Option<Pieces<'s>> {
    let is_script = |style| matches!(style, Style::Superscript | Style::Subscript);
    let letters = base
        .runs()
        .iter()
        .filter(|run| !is_script(run.style))
        .flat_map(|run| run.text.chars())
        .filter(|letter| !is_mark(*letter))
        .count();
    let line = matches!(name, "overline" | "bar" | "widetilde" | "widehat" | "overrightarrow");
    if letters == 0 || (letters > 1 && !line && !has_one_letter(base)) {
        return None;
    }
    let every = letters > 1 && line;
    let mut done = false;
    let mut accented = Pieces::new(source);
    for run in base.runs() {
        if is_script(run.style) {
            accented.push(&run.text, run.style, run.source.clone());
            continue;
        }
        let mut text = String::new();
        for letter in run.text.chars() {
            if is_mark(letter) || letter.is_whitespace() || (done && !every) {
                text.push(letter);
            } else {
                text.push_str(&compose(letter, mark));
                done = true;
            }
        }
        accented.push(&text, run.style, run.source.clone());
    }
    Some(accented)
}

/// One letter, with scripts in glyphs and primes behind it.
fn has_one_letter(base: &Pieces<'_>) -> bool {
    let text = runs_to_text(base.runs());
    let mut characters = text.chars();
    characters.next().is_some_and(char::is_alphabetic) && characters.all(is_attached)
}

fn is_mark(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36F}' | '\u{20D0}'..='\u{20FF}')
}

/// Script glyphs, primes and accents: what stays with the letter before it.
fn is_attached(character: char) -> bool {
    is_mark(character)
        || matches!(character, '′' | '″' | '‴' | '°' | '²' | '³' | '¹' | '\u{2070}'..='\u{209C}' | 'ᵢ'..='ᵥ' | 'ⱼ')
}

pub(super) fn is_operator(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '+' | '-' | '−' | '±' | '∓' | '·' | '×' | '/' | '=' | '<' | '>' | ','
        )
}

/// Whether this needs no brackets in a denominator or under a root: a number, or one letter with its scripts.
pub(super) fn is_single(pieces: &Pieces<'_>) -> bool {
    let text = runs_to_text(pieces.runs());
    let number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let letter = pieces.runs().iter().enumerate().all(|(index, run)| match run.style {
        Style::Superscript | Style::Subscript => index > 0,
        Style::Plain | Style::Emphasis | Style::Tex => {
            let mut characters = run.text.chars();
            if index == 0 {
                characters.next();
            }
            characters.all(is_attached)
        }
    });
    number || letter
}
