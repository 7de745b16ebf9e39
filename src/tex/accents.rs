//! Accented letters, in every spelling: `\"o`, `{\"o}`, `\"{o}`, `\" o`, `\'\i`, `\c{c}`, `\v s`.

use unicode_normalization::UnicodeNormalization;

use super::scan::Scan;
use super::tables;

/// More letters than this under one accent and it is not an accent.
const ACCENTED_LETTERS_MAX: usize = 2;

/// A longer group than this, in bytes, holds no accented letter.
const ACCENTED_BYTES_MAX: usize = 16;

/// The accented letter whose macro stands at this backslash, and where its spelling ends.
pub(super) fn accented(scan: &Scan<'_>, backslash: usize, end: usize) -> Option<(String, usize)> {
    let (name, after) = scan.macro_name(backslash, end)?;
    let mark = text_accent(name)?;
    if scan.byte(after) == Some(b'{')
        && let Some(inside) = scan.group(after, end)
    {
        if inside.len() > ACCENTED_BYTES_MAX {
            return None;
        }
        let content = scan.slice(inside.clone()).trim();
        let base = if content.starts_with('\\') {
            dotless(content)?
        } else {
            content
        };
        let mut letters = base.chars();
        let first = letters.next().filter(|letter| letter.is_alphabetic())?;
        let rest = letters.as_str();
        if base.chars().count() > ACCENTED_LETTERS_MAX || !rest.chars().all(char::is_alphabetic) {
            return None;
        }
        return Some((format!("{}{rest}", compose(first, mark)), inside.end + 1));
    }
    let letter_at = scan.skip_blanks(after, end);
    let blank = letter_at > after;
    if scan.byte(letter_at) == Some(b'\\') && letter_at < end {
        let (base, base_end) = scan.macro_name(letter_at, end)?;
        let letter = dotless(scan.slice(letter_at..base_end)).filter(|_| !base.is_empty())?;
        let text = compose(letter.chars().next()?, mark);
        return Some((text, after_letter_macro(scan, base_end, end)));
    }
    let letter = scan.character(letter_at, end).filter(|letter| letter.is_alphabetic())?;
    // `\c c` needs its blank, or it would be another macro; `\" o` is a habit. Both are accents only where
    // the letter is known to carry this accent: otherwise the sign may be anything.
    let text = compose(letter, mark);
    if blank && text.chars().nth(1).is_some() {
        return None;
    }
    Some((text, letter_at + letter.len_utf8()))
}

/// A letter such as `\o` or `\ss`, and where its spelling ends, with the blank that only ends the macro's name.
pub(super) fn special_letter(scan: &Scan<'_>, backslash: usize, end: usize) -> Option<(&'static str, usize)> {
    let (name, after) = scan.macro_name(backslash, end)?;
    let text = tables::letter(name)?;
    // `5 \AA wide` means the unit, and whoever wrote it wanted the blank.
    let before = scan.slice(0..backslash).trim_end().chars().next_back();
    let unit = text.eq_ignore_ascii_case("å") || text == "Å";
    if unit && before.is_some_and(|before| before.is_ascii_digit() || matches!(before, '$' | ')' | '.' | '-')) {
        return Some((text, skip_empty_group(scan, after, end)));
    }
    Some((text, after_letter_macro(scan, after, end)))
}

/// The combining character of a text accent.
fn text_accent(name: &str) -> Option<char> {
    Some(match name {
        "`" => '\u{300}',
        "'" => '\u{301}',
        "^" => '\u{302}',
        "~" => '\u{303}',
        "=" => '\u{304}',
        "u" => '\u{306}',
        "." => '\u{307}',
        "\"" => '\u{308}',
        "r" => '\u{30A}',
        "H" => '\u{30B}',
        "v" => '\u{30C}',
        "d" => '\u{323}',
        "c" => '\u{327}',
        "k" => '\u{328}',
        "b" => '\u{331}',
        _ => return None,
    })
}

/// The combining character of a formula's accent.
pub(super) fn math_accent(name: &str) -> Option<char> {
    Some(match name {
        "grave" => '\u{300}',
        "acute" => '\u{301}',
        "hat" | "widehat" => '\u{302}',
        "tilde" | "widetilde" => '\u{303}',
        "bar" => '\u{304}',
        "overline" => '\u{305}',
        "breve" => '\u{306}',
        "dot" => '\u{307}',
        "ddot" => '\u{308}',
        "mathring" => '\u{30A}',
        "check" | "widecheck" => '\u{30C}',
        "vec" | "overrightarrow" => '\u{20D7}',
        "dddot" => '\u{20DB}',
        "not" => '\u{338}',
        _ => return None,
    })
}

/// The letter with the accent, as one character where Unicode has it.
pub(super) fn compose(letter: char, mark: char) -> String {
    let base = match letter {
        'ı' => 'i',
        'ȷ' => 'j',
        other => other,
    };
    // A dotted i is an i; Turkish names are sent as `\.i`.
    if base == 'i' && mark == '\u{307}' {
        return "i".to_owned();
    }
    [base, mark].into_iter().nfc().collect()
}

/// The letter that a spelled macro such as `\i` or `\ae` gives an accent to stand on.
fn dotless(spelling: &str) -> Option<&'static str> {
    let name = spelling.strip_prefix('\\')?.trim_end();
    tables::letter(name).filter(|text| text.chars().nth(1).is_none())
}

fn after_letter_macro(scan: &Scan<'_>, after: usize, end: usize) -> usize {
    let past_group = skip_empty_group(scan, after, end);
    if past_group > after {
        return past_group;
    }
    let past_blanks = scan.skip_blanks(after, end);
    // A blank before anything but a letter was meant as a blank, or ends the text.
    match scan.character(past_blanks, end) {
        Some(next) if next.is_alphabetic() || next == '\\' => past_blanks,
        _ => after,
    }
}

/// Past `{}`, which ends a macro's name and prints nothing.
pub(super) fn skip_empty_group(scan: &Scan<'_>, at: usize, end: usize) -> usize {
    if scan.slice(at..end).starts_with("{}") {
        at + 2
    } else {
        at
    }
}
