//! The spellings under which arXiv's index may hold a phrase or a name.
//!
//! Titles and abstracts are cut into words at hyphens and most signs and stemmed after Porter; accents stay. So a
//! phrase is asked for as it is written, without its accents, with those of well-known names, and with a plural
//! where stemming does not undo it.

use unicode_normalization::UnicodeNormalization as _;

use super::encoded_len;
use crate::matching::{Spelling, fold, in_reading_order, is_name_suffix, is_stop_word, readable};

/// The most spellings of one phrase; beyond that its last words are left out.
const FORMS_MAX: usize = 12;
/// The longest spelling once encoded, in bytes; beyond that its last words are left out.
const FORM_BYTES_MAX: usize = 1_600;
/// Stemming can shorten a word to two letters, hardly to fewer.
const STEM_LETTERS_MIN: usize = 2;

/// Words that are often written without their accents, with them.
const ACCENTED: [&str; 56] = [
    "Ångström",
    "Bäcklund",
    "Bénard",
    "Bézier",
    "Carathéodory",
    "Čech",
    "Cramér",
    "Erdős",
    "façade",
    "Fejér",
    "Fréchet",
    "Gâteaux",
    "Gödel",
    "Gröbner",
    "Hölder",
    "Hörmander",
    "Itô",
    "Kähler",
    "Kármán",
    "König",
    "Künneth",
    "Lévy",
    "L'Hôpital",
    "Łojasiewicz",
    "Loève",
    "Lovász",
    "Löwner",
    "Löwenheim",
    "Möbius",
    "Mössbauer",
    "Müller",
    "Müntz",
    "naïve",
    "Niño",
    "Niña",
    "Nyström",
    "Padé",
    "Painlevé",
    "Plücker",
    "Poincaré",
    "Pólya",
    "Pöschl",
    "Rényi",
    "Röntgen",
    "Sárközy",
    "Schrödinger",
    "Sørensen",
    "Stäckel",
    "Szegő",
    "Szemerédi",
    "Teichmüller",
    "Turán",
    "Voronoï",
    "Zürich",
    "Ørsted",
    "Šidák",
];

const GREEK: [(&str, &str); 24] = [
    ("α", "alpha"),
    ("β", "beta"),
    ("γ", "gamma"),
    ("δ", "delta"),
    ("ε", "epsilon"),
    ("ζ", "zeta"),
    ("η", "eta"),
    ("θ", "theta"),
    ("ι", "iota"),
    ("κ", "kappa"),
    ("λ", "lambda"),
    ("μ", "mu"),
    ("ν", "nu"),
    ("ξ", "xi"),
    ("ο", "omicron"),
    ("π", "pi"),
    ("ρ", "rho"),
    ("σ", "sigma"),
    ("τ", "tau"),
    ("υ", "upsilon"),
    ("φ", "phi"),
    ("χ", "chi"),
    ("ψ", "psi"),
    ("ω", "omega"),
];

/// The endings that Porter's stemmer takes off or changes.
const SUFFIXES: [&str; 52] = [
    "s", "es", "ies", "sses", "ed", "eed", "ing", "y", "ational", "tional", "enci", "anci", "izer", "bli", "alli",
    "entli", "eli", "ousli", "ization", "ation", "ator", "alism", "iveness", "fulness", "ousness", "aliti", "iviti",
    "biliti", "logi", "icate", "ative", "alize", "iciti", "ical", "ful", "ness", "al", "ance", "ence", "er", "ic",
    "able", "ible", "ant", "ement", "ent", "ion", "ou", "iti", "ous", "ive", "e",
];

/// The forms of a phrase, ready to stand behind a field: in quotes, or a single word with a star.
/// None if arXiv's index holds no word of it. `is_stemmed` says whether the field is.
pub(super) fn forms(text: &str, spelling: Spelling, is_stemmed: bool) -> Vec<String> {
    let (mut words, mut tail) = words(text);
    let mut prefix = None;
    if spelling == Spelling::Prefix {
        prefix = words.pop();
        tail.clear();
    }
    let quoted = quoted(words, &tail, spelling == Spelling::Ordinary, is_stemmed);
    match prefix {
        // Wildcards work only in single words; what stands before one is asked for alone.
        Some(prefix) if quoted.is_empty() => prefixes(&prefix.text, is_stemmed),
        _ => quoted,
    }
}

/// A word and the signs that stand between it and the one before.
struct Word {
    gap: String,
    text: String,
}

/// The words of a phrase, and the signs after the last one. What could mean something to arXiv's parser has
/// become a blank; its index holds none of these signs.
fn words(text: &str) -> (Vec<Word>, String) {
    let text: String = readable(text)
        .chars()
        .map(|c| if is_reserved(c) { ' ' } else { c })
        .collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let chars: Vec<char> = text.chars().collect();
    let is_letter = |at: usize| chars.get(at).is_some_and(|c| c.is_alphanumeric());
    let (mut words, mut gap, mut word) = (Vec::new(), String::new(), String::new());
    for (at, c) in chars.iter().enumerate() {
        let is_inner_apostrophe = *c == '\'' && !word.is_empty() && is_letter(at + 1);
        // Marks without a composed form belong to the letter before them.
        let is_mark = !word.is_empty() && ('\u{300}'..='\u{36f}').contains(c);
        if c.is_alphanumeric() || is_inner_apostrophe || is_mark {
            word.push(*c);
            continue;
        }
        if !word.is_empty() {
            words.push(Word {
                gap: std::mem::take(&mut gap),
                text: std::mem::take(&mut word),
            });
        }
        gap.push(*c);
    }
    if !word.is_empty() {
        words.push(Word {
            gap: std::mem::take(&mut gap),
            text: word,
        });
    }
    (words, gap)
}

fn is_reserved(c: char) -> bool {
    matches!(
        c,
        '"' | '\\' | '(' | ')' | '[' | ']' | '{' | '}' | '*' | '^' | '~' | '$' | '\u{201c}' | '\u{201d}'
    ) || c.is_control()
}

/// Every combination of the words' forms.
fn quoted(mut words: Vec<Word>, tail: &str, is_ordinary: bool, is_stemmed: bool) -> Vec<String> {
    let length = words.len();
    let mut alternatives: Vec<Vec<String>> = words
        .iter()
        .enumerate()
        .map(|(index, word)| alternatives(&word.text, is_ordinary, index + 1 == length, is_stemmed))
        .collect();
    let count = |alternatives: &[Vec<String>]| {
        alternatives
            .iter()
            .fold(1_usize, |n, forms| n.saturating_mul(forms.len()))
    };
    let size = |words: &[Word]| {
        words
            .iter()
            .map(|word| encoded_len(&word.gap) + encoded_len(&word.text))
            .sum::<usize>()
    };
    // The beginning of a phrase finds more than the phrase, never less.
    while words.len() > 1 && (count(&alternatives) > FORMS_MAX || size(&words) > FORM_BYTES_MAX) {
        words.pop();
        alternatives.pop();
    }
    let tail = if words.len() == length { tail } else { "" };
    let can_be_found = words.iter().any(|word| {
        fold(&word.text)
            .split('\'')
            .any(|part| !part.is_empty() && !is_stop_word(part))
    });
    if !can_be_found || size(&words) > FORM_BYTES_MAX {
        return Vec::new();
    }
    let mut forms = vec![String::new()];
    for (word, alternatives) in words.iter().zip(&alternatives) {
        forms = forms
            .iter()
            .flat_map(|form| alternatives.iter().map(move |text| format!("{form}{}{text}", word.gap)))
            .collect();
    }
    forms
        .iter()
        .map(|form| format!("\"{}\"", format!("{form}{tail}").trim()))
        .collect()
}

/// The forms of one word, as written first.
fn alternatives(word: &str, is_ordinary: bool, is_last: bool, is_stemmed: bool) -> Vec<String> {
    let mut forms = vec![word.to_owned()];
    let mut add = |form: String| {
        if !forms.iter().any(|known| known.to_lowercase() == form.to_lowercase()) {
            forms.push(form);
        }
    };
    let folded = fold(word);
    if folded != word.to_lowercase() {
        add(folded.clone());
    }
    if folded.is_ascii() {
        ACCENTED
            .iter()
            .filter(|name| fold(name) == folded)
            .for_each(|name| add((*name).to_owned()));
    }
    GREEK
        .iter()
        .filter(|(letter, _)| *letter == folded)
        .for_each(|(_, name)| add((*name).to_owned()));
    subscripts(word).into_iter().for_each(&mut add);
    if is_ordinary {
        let is_in_capitals = is_in_capitals(word);
        if is_last || is_in_capitals {
            plurals(&folded, is_in_capitals, is_stemmed)
                .iter()
                .for_each(|ending| add(format!("{word}{ending}")));
        }
    }
    // The index keeps both apostrophes apart, except in the possessive, which it drops.
    if word.contains('\'') && !word.ends_with("'s") {
        let curly: Vec<String> = forms.iter().map(|form| form.replace('\'', "\u{2019}")).collect();
        forms.extend(curly);
    }
    forms
}

fn is_in_capitals(word: &str) -> bool {
    word.chars().filter(|c| c.is_uppercase()).count() > 1 && !word.chars().any(char::is_lowercase)
}

/// The plural endings that the index does not undo.
fn plurals(folded: &str, is_in_capitals: bool, is_stemmed: bool) -> &'static [&'static str] {
    let ends_in = |endings: &[&str]| endings.iter().any(|ending| folded.ends_with(ending));
    if !folded.ends_with(char::is_alphabetic) {
        return &[];
    }
    if !is_stemmed {
        return if !is_in_capitals && ends_in(&["s", "x", "z", "ch", "sh", "o"]) {
            &["s", "es"]
        } else {
            &["s"]
        };
    }
    let is_short = folded.chars().count() <= 4;
    if is_in_capitals {
        // NAS is stemmed to na, NASs not at all.
        if ends_in(&["s", "ie"]) { &["s"] } else { &[] }
    } else if (ends_in(&["s"]) && !ends_in(&["ss"])) || (is_short && ends_in(&["x", "z", "ch", "sh", "o"])) {
        // `bias` is stemmed to bia, `biases` to bias.
        &["es"]
    } else if ends_in(&["ie"]) {
        &["s"]
    } else {
        &[]
    }
}

/// `CO2` may stand there as `CO$_2$`, `CO$_{2}$` or `$CO_2$`.
fn subscripts(word: &str) -> Vec<String> {
    let is_formula = word.is_ascii()
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.bytes().any(|b| b.is_ascii_digit())
        && word.bytes().all(|b| b.is_ascii_alphanumeric());
    if !is_formula {
        return Vec::new();
    }
    let with = |before: &str, after: &str| {
        let mut text = String::new();
        let mut last = None;
        for c in word.chars() {
            match last.map(|last: char| (last.is_ascii_digit(), c.is_ascii_digit())) {
                Some((false, true)) => text.push_str(before),
                Some((true, false)) => text.push_str(after),
                _ => {}
            }
            text.push(c);
            last = Some(c);
        }
        text
    };
    vec![with(" ", " "), with(" _", " "), with("_", "")]
}

/// Wildcards for the words that begin so. The index holds stems, so the part that stemming may change is cut off.
fn prefixes(prefix: &str, is_stemmed: bool) -> Vec<String> {
    let folded = fold(prefix);
    let mut forms: Vec<String> = vec![prefix.to_lowercase().nfc().collect(), folded.clone()];
    if folded.is_ascii() {
        let length = folded.chars().count();
        let begin_so = ACCENTED.iter().filter(|name| fold(name).starts_with(&folded));
        forms.extend(begin_so.map(|name| name.to_lowercase().chars().take(length).collect::<String>()));
    }
    if is_stemmed {
        forms = forms.iter().map(|form| stem_start(form).to_owned()).collect();
    }
    forms.sort_unstable();
    forms.dedup();
    forms.iter().map(|form| format!("{form}*")).collect()
}

/// The part of a word's beginning that its stem surely keeps.
fn stem_start(prefix: &str) -> &str {
    // Stemming turns a final y to i before it looks at suffixes.
    let mut kept = prefix.strip_suffix('y').unwrap_or(prefix);
    let mut is_open = true;
    loop {
        let shorter = (0..kept.len())
            .filter(|at| kept.is_char_boundary(*at) && kept[..*at].chars().count() >= STEM_LETTERS_MIN)
            .find(|at| {
                let end = &kept[*at..];
                // The beginning may stop within a suffix; what stands before a suffix may end with a whole one.
                SUFFIXES.iter().any(|suffix| {
                    if is_open {
                        suffix.starts_with(end)
                    } else {
                        *suffix == end
                    }
                })
            });
        is_open = false;
        match shorter {
            Some(at) => kept = &kept[..at],
            None => break,
        }
    }
    // `hopping` becomes hop.
    let mut ends = kept.char_indices().rev();
    match (ends.next(), ends.next()) {
        (Some((at, last)), Some((_, before))) if last == before && kept[..at].chars().count() >= STEM_LETTERS_MIN => {
            &kept[..at]
        }
        _ => kept,
    }
}

/// The forms of an author's name: as written, without middle names, and with initials. arXiv looks for the words
/// of a name within one author and keeps hyphens.
pub(super) fn names(name: &str) -> Vec<String> {
    let clean: String = in_reading_order(name)
        .nfkc()
        .map(|c| {
            if is_reserved(c) || matches!(c, '_' | ',' | ';' | '.' | '?' | ':') {
                ' '
            } else {
                c
            }
        })
        .collect();
    let words: Vec<&str> = clean
        .split_whitespace()
        .filter(|word| word.chars().any(char::is_alphanumeric) && !is_name_suffix(word))
        .collect();
    let Some((family, given)) = words.split_last() else {
        return Vec::new();
    };
    let families = [
        (*family).to_owned(),
        family.replace(['-', '\u{2010}', '\u{2011}', '\u{2013}'], " "),
    ];
    let initial_of = |word: &str| word.chars().next().map(String::from).unwrap_or_default();
    let firsts: Vec<String> = match given.first() {
        None => vec![String::new()],
        // Whoever is named by an initial may be written out with any name.
        Some(first) if first.chars().count() == 1 => vec![String::new()],
        Some(first) => {
            let parts: Vec<&str> = first.split('-').collect();
            let initials = |between: &str| {
                parts
                    .iter()
                    .map(|part| initial_of(part))
                    .collect::<Vec<_>>()
                    .join(between)
            };
            let all_initials = given.iter().map(|word| initial_of(word)).collect::<String>();
            vec![
                given.join(" "),
                (*first).to_owned(),
                parts.join(" "),
                initial_of(first),
                initials("-"),
                initials(""),
                all_initials,
            ]
        }
    };
    let mut forms: Vec<String> = Vec::new();
    for first in &firsts {
        for family in &families {
            let form = format!("{first} {family}").trim().to_owned();
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_is_asked_for_in_every_likely_spelling() {
        let check =
            |text: &str, expected: &[&str]| assert_eq!(forms(text, Spelling::Ordinary, true), expected, "{text:?}");
        check("graph neural network", &["\"graph neural network\""]);
        check("multi-agent", &["\"multi-agent\""]);
        check("Fréchet mean", &["\"Fréchet mean\"", "\"frechet mean\""]);
        check("Frechet mean", &["\"Frechet mean\"", "\"Fréchet mean\""]);
        check(
            "Erdos-Renyi",
            &[
                "\"Erdos-Renyi\"",
                "\"Erdos-Rényi\"",
                "\"Erdős-Renyi\"",
                "\"Erdős-Rényi\"",
            ],
        );
        check("NAS", &["\"NAS\"", "\"NASs\""]);
        check("inductive bias", &["\"inductive bias\"", "\"inductive biases\""]);
        check("α decay", &["\"α decay\"", "\"alpha decay\""]);
        check("CO2", &["\"CO2\"", "\"CO 2\"", "\"CO _2\"", "\"CO_2\""]);
        check("C++", &["\"C++\""]);
        check(".NET", &["\".NET\""]);
        check("what is 2+2=4?", &["\"what is 2+2=4?\""]);
        check("[LLM] \"token\\", &["\"LLM token\""]);
        check("O'Neil", &["\"O'Neil\"", "\"O\u{2019}Neil\""]);
        check("to be or not", &[]);
        check("深度学习", &["\"深度学习\""]);
    }

    #[test]
    fn a_wildcard_stops_where_stemming_may_begin() {
        let check =
            |text: &str, expected: &[&str]| assert_eq!(forms(text, Spelling::Prefix, true), expected, "{text:?}");
        check("transformer", &["transform*"]);
        check("graph", &["graph*"]);
        check("universal", &["univ*"]);
        check("relational", &["rel*"]);
        check("ability", &["abil*"]);
        check("hopp", &["hop*"]);
        check("graph-neur", &["\"graph\""]);
        assert_eq!(forms("transformer", Spelling::Prefix, false), ["transformer*"]);
    }

    #[test]
    fn an_author_is_asked_for_by_name_and_initial() {
        let check = |name: &str, expected: &[&str]| assert_eq!(names(name), expected, "{name:?}");
        check("Jane Doe", &["Jane Doe", "J Doe"]);
        check("Doe, Jane", &["Jane Doe", "J Doe"]);
        check("J. Doe", &["Doe"]);
        check("Doe", &["Doe"]);
        check("Jane Quimby Doe", &["Jane Quimby Doe", "Jane Doe", "J Doe", "JQ Doe"]);
        check("Jane Doe, Jr.", &["Jane Doe", "J Doe"]);
        check(
            "Jean-Luc Roe",
            &["Jean-Luc Roe", "Jean Luc Roe", "J Roe", "J-L Roe", "JL Roe"],
        );
        check(
            "Ana \"Doe-Roe\"",
            &["Ana Doe-Roe", "Ana Doe Roe", "A Doe-Roe", "A Doe Roe"],
        );
    }
}
