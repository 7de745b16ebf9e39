//! What stands between the operators: fields, words, phrases.

use winnow::{
    Parser as _,
    combinator::{opt, peek, terminated},
    error::ParserError as _,
    stream::{Location as _, Stream as _},
    token::{any, take_till, take_while},
};

use super::{Input, PREFIX_LETTERS_MIN, Parsed, Trouble};
use crate::matching::{
    author::Name,
    category,
    expression::{Leaf, Scope, Spelling},
    fault::Fault,
    phrase::Phrase,
};

/// What a leaf is sought in.
#[derive(Clone, Copy)]
pub(super) enum Field {
    Words(Scope),
    Author,
    Category,
}

pub(super) fn field(input: &mut Input<'_>) -> Parsed<Option<Field>> {
    let at = input.current_token_start();
    let name = opt(terminated(
        take_while(1.., |c: char| c.is_ascii_alphabetic() || c == '_'),
        ':',
    ))
    .parse_next(input)?;
    let Some(name) = name else { return Ok(None) };
    Ok(Some(match name.to_ascii_lowercase().as_str() {
        "ti" => Field::Words(Scope::Title),
        "abs" => Field::Words(Scope::Abstract),
        "co" => Field::Words(Scope::Comment),
        "jr" => Field::Words(Scope::JournalRef),
        "au" => Field::Author,
        "cat" => Field::Category,
        _ => {
            return Err(Trouble {
                at,
                fault: Fault::UnknownField {
                    name: format!("{name}:"),
                },
            });
        }
    }))
}

pub(super) fn leaf(input: &mut Input<'_>, field: Field) -> Parsed<Leaf> {
    let at = input.current_token_start();
    let exact = opt('=').parse_next(input)?.is_some();
    let quoted = opt(peek('"')).parse_next(input)?.is_some();
    let text = if quoted { phrase(input)? } else { word(input)? };
    let (text, prefix) = match text.strip_suffix('*') {
        Some(text) if !quoted => (text, true),
        _ => (text, false),
    };
    let fault = |fault| Trouble { at, fault };
    if !quoted && text.contains('*') {
        return Err(fault(Fault::InnerWildcard));
    }
    let scope = match field {
        Field::Author | Field::Category if exact || (prefix && !text.ends_with('.')) => {
            return Err(fault(Fault::OnlyForWords));
        }
        Field::Author => {
            Name::new(text).ok_or(fault(Fault::NothingToFind))?;
            return Ok(Leaf::Author(text.to_owned()));
        }
        Field::Category => {
            let pattern = if prefix { format!("{text}*") } else { text.to_owned() };
            let canonical = category::canonical(&pattern).ok_or(fault(Fault::Category { pattern }))?;
            return Ok(Leaf::Category(canonical));
        }
        Field::Words(scope) => scope,
    };
    let spelling = match (exact, prefix) {
        (true, true) => return Err(fault(Fault::ExactPrefix)),
        (true, false) => Spelling::Exact,
        (false, true) => Spelling::Prefix,
        (false, false) => Spelling::Ordinary,
    };
    if prefix && text.chars().filter(|c| c.is_alphanumeric()).count() < PREFIX_LETTERS_MIN {
        return Err(fault(Fault::ShortPrefix {
            letters_min: PREFIX_LETTERS_MIN,
        }));
    }
    Phrase::new(text, spelling, false).ok_or(fault(Fault::NothingToFind))?;
    Ok(Leaf::Words {
        scope,
        text: text.to_owned(),
        spelling,
    })
}

fn phrase<'q>(input: &mut Input<'q>) -> Parsed<&'q str> {
    let at = input.current_token_start();
    any.parse_next(input)?;
    let text = take_till(0.., '"').parse_next(input)?;
    if opt('"').parse_next(input)?.is_none() {
        return Err(Trouble {
            at,
            fault: Fault::OpenQuote,
        });
    }
    Ok(text)
}

fn word<'q>(input: &mut Input<'q>) -> Parsed<&'q str> {
    let start = input.checkpoint();
    let word: &str = take_while(1.., is_word_char).parse_next(input)?;
    if matches!(word, "AND" | "OR" | "NOT" | "ANDNOT" | "NEAR") || word.starts_with("NEAR/") {
        input.reset(&start);
        return Err(Trouble::from_input(input));
    }
    Ok(word)
}

pub(super) fn is_word_char(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '(' | ')')
}
