//! Author lines in one string, as OAI-PMH and RSS give them, taken apart into authors.

use super::fields::{self, AFFILIATIONS_MAX, AUTHORS_MAX, LINE_BYTES_MAX};
use crate::{model::Author, tex};

/// Takes an author line apart: commas, semicolons and "and" separate; parentheses hold affiliations or numbers
/// that a legend at the end explains; `Jr` belongs to the name before; "et al." is nobody.
///
/// The line is lossy by nature: what cannot be told apart stays together as one name.
pub(super) fn split(source: &str) -> Vec<Author> {
    let source = fields::line(source, usize::MAX);
    let mut authors: Vec<Author> = Vec::new();
    let mut legend = Vec::new();
    for piece in pieces(&source) {
        if authors.len() >= AUTHORS_MAX {
            break;
        }
        let (name, notes) = without_notes(piece);
        for (n_part, part) in name.split(": ").enumerate() {
            // Notes belong to the last of "The Example Collaboration: A. Bee (Somewhere)".
            let is_last = n_part + 1 == name.split(": ").count();
            push_author(&mut authors, part, if is_last { &notes } else { &[] }, &mut legend);
        }
    }
    for author in &mut authors {
        resolve_numbers(author, &legend);
    }
    authors
}

fn push_author(authors: &mut Vec<Author>, name: &str, notes: &[&str], legend: &mut Vec<(String, String)>) {
    let mut affiliations = Vec::new();
    for note in notes {
        if let Some(entries) = read_legend(note) {
            legend.extend(entries);
        } else if !is_head_count(note) && affiliations.len() < AFFILIATIONS_MAX {
            affiliations.extend(fields::optional(&readable_name(note)));
        }
    }
    let name = plain_name(name);
    let is_suffix = ["Jr", "Jr.", "Sr", "Sr.", "II", "III", "IV"].contains(&name);
    match authors.last_mut() {
        Some(last) if name.is_empty() || is_suffix => {
            if is_suffix {
                last.name.push(' ');
                last.name.push_str(name);
            }
            last.affiliations.extend(affiliations);
            last.affiliations.truncate(AFFILIATIONS_MAX);
        }
        _ => authors.extend(fields::author(&readable_name(name), affiliations)),
    }
}

/// A name without the words around it: "and", "et al.", "for the … Collaboration".
fn plain_name(name: &str) -> &str {
    let mut name = name.trim();
    for lead in ["and ", "for the ", "on behalf of the ", "on behalf of "] {
        if name
            .get(..lead.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(lead))
        {
            name = name[lead.len()..].trim_start();
        }
    }
    for tail in [" et al.", " et al", " and others"] {
        name = name.strip_suffix(tail).unwrap_or(name);
    }
    if ["et al", "et al.", "others", "and", "&"].contains(&name) {
        ""
    } else {
        name.trim_end_matches(':')
    }
}

/// The one place where TeX in a name becomes Unicode.
pub(super) fn readable_name(name: &str) -> String {
    tex::name(name)
}

/// Splits at separators outside parentheses and braces.
fn pieces(source: &str) -> Vec<&str> {
    // A bracket that is never closed would swallow everyone after it; one too many at the end does no harm.
    let closes = |open: char, close: char| source.matches(open).count() <= source.matches(close).count();
    let (parens, braces) = (closes('(', ')'), closes('{', '}'));
    let bytes = source.as_bytes();
    let mut found: Vec<(&str, bool)> = Vec::new();
    let mut depth = 0_usize;
    let mut begin = 0;
    let mut after_and = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            // `\,` is a thin space and `\;` a wider one.
            b'\\' => at += 1,
            b'(' if parens => depth += 1,
            b')' if parens => depth = depth.saturating_sub(1),
            b'{' if braces => depth += 1,
            b'}' if braces => depth = depth.saturating_sub(1),
            b',' | b';' if depth == 0 => {
                found.push((&source[begin..at], after_and));
                begin = at + 1;
                after_and = false;
            }
            b' ' if depth == 0 && bytes[at..].starts_with(b" and ") => {
                // The blank behind one "and" may stand before the next: nobody is between them.
                found.push((&source[begin.min(at)..at], after_and));
                begin = at + 5;
                at += 3;
                after_and = true;
            }
            _ => {}
        }
        at += 1;
    }
    found.push((source.get(begin..).unwrap_or_default(), after_and));
    // "for the RBC and UKQCD Collaborations" is one piece: the plural says so.
    let mut pieces: Vec<&str> = Vec::with_capacity(found.len());
    for (piece, after_and) in found {
        match pieces.last_mut() {
            Some(last) if after_and && piece.trim_end().ends_with("Collaborations") && is_half(last) => {
                let begin = last.as_ptr().addr() - source.as_ptr().addr();
                let end = piece.as_ptr().addr() - source.as_ptr().addr() + piece.len();
                *last = &source[begin..end];
            }
            _ => pieces.push(piece),
        }
    }
    pieces
}

/// Whether a piece before "and … Collaborations" is the first collaboration's name rather than a person's.
fn is_half(piece: &str) -> bool {
    let piece = piece.trim();
    let is_word = !piece.is_empty() && !piece.contains([' ', '.']);
    is_word || piece.starts_with("for the ") || piece.starts_with("on behalf of ")
}

/// A piece's name and what stands in parentheses in it.
fn without_notes(piece: &str) -> (&str, Vec<&str>) {
    let piece = piece.trim();
    let Some(open) = piece.find('(') else {
        return (piece, Vec::new());
    };
    let mut notes = Vec::new();
    let mut depth = 0_usize;
    let mut begin = open;
    for (at, character) in piece.char_indices().skip_while(|(at, _)| *at < open) {
        match character {
            '(' => {
                if depth == 0 {
                    begin = at + 1;
                }
                depth += 1;
            }
            ')' if depth == 1 => {
                notes.push(piece[begin..at].trim());
                depth = 0;
            }
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    if depth > 0 {
        notes.push(piece[begin..].trim());
    }
    (piece[..open].trim_end(), notes)
}

/// `(1) Somewhere, (2) Elsewhere`: what the numbers behind the names mean.
fn read_legend(note: &str) -> Option<Vec<(String, String)>> {
    let marks = |text: &str| {
        let inner = text.strip_prefix('(')?;
        let (number, rest) = inner.split_once(')')?;
        is_number(number.trim()).then(|| (number.trim().to_owned(), rest.len()))
    };
    marks(note)?;
    let mut entries: Vec<(String, String)> = Vec::new();
    let mut begin = 0;
    for (at, _) in note.match_indices('(') {
        if let Some((number, rest_len)) = marks(&note[at..]) {
            if let Some(last) = entries.last_mut() {
                last.1 = place(&note[begin..at]);
            }
            begin = note.len() - rest_len;
            entries.push((number, String::new()));
        }
    }
    if let Some(last) = entries.last_mut() {
        last.1 = place(&note[begin..]);
    }
    Some(entries)
}

fn place(text: &str) -> String {
    let text = text.trim().trim_end_matches([',', ';', '.', ' ']);
    let text = text.strip_suffix(" and").unwrap_or(text);
    fields::line(&readable_name(text), LINE_BYTES_MAX)
}

fn is_number(text: &str) -> bool {
    (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// "164 authors", "136 additional authors not shown": a count, not a place.
fn is_head_count(note: &str) -> bool {
    note.contains("authors") && note.bytes().any(|b| b.is_ascii_digit())
}

/// Replaces affiliations such as `1,2` or `1 and 2` by what the legend says, and drops those it does not explain.
fn resolve_numbers(author: &mut Author, legend: &[(String, String)]) {
    let mut resolved = Vec::with_capacity(author.affiliations.len());
    for affiliation in author.affiliations.drain(..) {
        let numbers: Vec<&str> = affiliation
            .split([',', ' ', ';'])
            .filter(|word| !word.is_empty() && *word != "and" && *word != "&")
            .collect();
        if numbers.is_empty() || !numbers.iter().all(|number| is_number(number)) {
            resolved.push(affiliation);
            continue;
        }
        for number in numbers.into_iter().take(AFFILIATIONS_MAX) {
            resolved.extend(
                legend
                    .iter()
                    .find(|(known, place)| known == number && !place.is_empty())
                    .map(|(_, place)| place.clone()),
            );
        }
    }
    resolved.truncate(AFFILIATIONS_MAX);
    author.affiliations = resolved;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Authors as `name` or `name @ affiliation | affiliation`.
    fn check(line: &str, expected: &[&str]) {
        let got: Vec<String> = split(line)
            .into_iter()
            .map(|author| {
                if author.affiliations.is_empty() {
                    author.name
                } else {
                    format!("{} @ {}", author.name, author.affiliations.join(" | "))
                }
            })
            .collect();
        assert_eq!(got, expected, "{line:?}");
    }

    #[test]
    fn author_lines_come_apart_at_commas_and_ands() {
        check("Ana Example", &["Ana Example"]);
        check("A. Bee, C. Dee and E. Eff", &["A. Bee", "C. Dee", "E. Eff"]);
        check("A. Bee, C. Dee, and E. Eff", &["A. Bee", "C. Dee", "E. Eff"]);
        check("A. Bee and C. Dee and E. Eff", &["A. Bee", "C. Dee", "E. Eff"]);
        check("Ana Bee,  Dee, Eff Gee", &["Ana Bee", "Dee", "Eff Gee"]);
        check("Alexander Sand, Andy Land", &["Alexander Sand", "Andy Land"]);
        check("A. Bee and and C. Dee", &["A. Bee", "C. Dee"]);
        check(
            "A. Bee and and and The X Collaborations",
            &["A. Bee", "The X Collaborations"],
        );
        check("", &[]);
        check(" , ; and ", &[]);
        check(" and and and ", &[]);
    }

    #[test]
    fn suffixes_stay_with_their_name() {
        check(
            "A. Bee, Jr., C. Dee III and E. Eff Jr",
            &["A. Bee Jr.", "C. Dee III", "E. Eff Jr"],
        );
        check("William Bee, III, C. Dee", &["William Bee III", "C. Dee"]);
    }

    #[test]
    fn parentheses_hold_affiliations_and_never_authors() {
        check(
            "A. Bee (McGill), C. Dee (DAMTP, Cambridge)",
            &["A. Bee @ McGill", "C. Dee @ DAMTP, Cambridge"],
        );
        check(
            "A. Bee (1), C. Dee (1 and 2) ((1) Univ. X, Town, (2) Lab Y)",
            &["A. Bee @ Univ. X, Town", "C. Dee @ Univ. X, Town | Lab Y"],
        );
        check(
            "A. Bee (1), C. Dee (2)((1) X; (2) Y (Z))",
            &["A. Bee @ X", "C. Dee @ Y (Z)"],
        );
        check("A. Bee (1), C. Dee (2)", &["A. Bee", "C. Dee"]);
        check(
            "A. Bee, for the Hall A Collaboration (164 authors)",
            &["A. Bee", "Hall A Collaboration"],
        );
        check("A. Bee (X, C. Dee", &["A. Bee @ X", "C. Dee"]);
        check("A. Bee (1), C. Dee (2) ((1) X (2) Y))", &["A. Bee @ X", "C. Dee @ Y"]);
    }

    #[test]
    fn collaborations_are_whole_and_others_are_nobody() {
        check(
            "The Example Collaboration: A. Bee, et al",
            &["The Example Collaboration", "A. Bee"],
        );
        check(
            "The Example Collaboration:, :, A. Bee et al.",
            &["The Example Collaboration", "A. Bee"],
        );
        check(
            "A. Bee, and C. Dee, for the RBC and UKQCD Collaborations",
            &["A. Bee", "C. Dee", "RBC and UKQCD Collaborations"],
        );
        check("PHENIX Collaboration, A. Bee", &["PHENIX Collaboration", "A. Bee"]);
    }

    #[test]
    fn accents_do_not_split_names() {
        assert_eq!(split(r#"J. L\'eon (LGS), H. {\O}re, M. R{\"u}b\, hausen"#).len(), 3);
        assert_eq!(split(&"(".repeat(100_000)).len(), 0);
        assert_eq!(split(&"a,".repeat(100_000)).len(), AUTHORS_MAX);
    }
}
