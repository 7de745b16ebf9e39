//! Where a paper appears, read from the authors' comment, and what of the comment is left to show.
//!
//! Only what is said clearly becomes a tag: a wrong tag is worse than none. Everything else stays in the comment.

use super::clean::{clip, line};

/// The longest comment that is shown whole.
const COMMENT_CHARS_MAX: usize = 300;
/// The longest short name of a venue.
const NAME_CHARS_MAX: usize = 18;
/// A comment of more bytes is not read for a venue at all.
const COMMENT_BYTES_READ: usize = 4 * READ_CHARS_MAX;
/// A comment longer than this tells more than a venue and is kept whole.
const READ_CHARS_MAX: usize = 600;

/// A comment taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Comment {
    /// `ICLR 2026`, where the comment clearly names it.
    pub(super) venue: Option<String>,
    /// The rest: pages, figures, anything else.
    pub(super) rest: Option<String>,
}

/// Names that are venues although they are not written in capitals.
const MIXED_CASE: [&str; 4] = ["Interspeech", "Eurographics", "Humanoids", "Middleware"];

/// Words in capitals that stand before a year without being venues.
const NOT_VENUES: [&str; 28] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUNE", "JUL", "JULY", "AUG", "SEP", "SEPT", "OCT", "NOV", "DEC", "IEEE",
    "ACM", "IFIP", "AAAS", "USA", "UK", "EU", "UAE", "LNCS", "CCF", "CORE", "TR", "PHD",
];

/// Words that make a venue unclear: not accepted yet, not the main event, not this paper.
const UNCLEAR: [&str; 21] = [
    "submitted",
    "submission",
    "review",
    "workshop",
    "workshops",
    "bridge",
    "symposium",
    "tutorial",
    "competition",
    "challenge",
    "rejected",
    "withdrawn",
    "earlier",
    "early",
    "extended",
    "extends",
    "previous",
    "preliminary",
    "@",
    "based",
    "colocated",
];

/// Words that may stand around a venue's name without making it unclear.
const AROUND: [&str; 44] = [
    "accept",
    "accepted",
    "published",
    "presented",
    "appear",
    "appears",
    "appearing",
    "forthcoming",
    "publication",
    "presentation",
    "camera-ready",
    "camera",
    "ready",
    "version",
    "final",
    "paper",
    "papers",
    "work",
    "article",
    "conference",
    "proceedings",
    "main",
    "track",
    "full",
    "long",
    "short",
    "oral",
    "poster",
    "spotlight",
    "highlight",
    "findings",
    "this",
    "has",
    "been",
    "was",
    "is",
    "be",
    "will",
    "a",
    "an",
    "the",
    "as",
    "technical",
    "regular",
];
const PREPOSITIONS: [&str; 7] = ["at", "to", "in", "by", "for", "of", "on"];

/// Reads a comment.
pub(super) fn read(comment: &str) -> Comment {
    if comment.len() > COMMENT_BYTES_READ {
        return Comment {
            venue: None,
            rest: shown(comment),
        };
    }
    let comment = line(comment);
    if comment.chars().count() <= READ_CHARS_MAX {
        let parts: Vec<&str> = parts(&comment);
        for (index, part) in parts.iter().enumerate() {
            if let Some(venue) = venue(part) {
                let rest: Vec<&str> = parts
                    .iter()
                    .enumerate()
                    .filter(|(other, text)| *other != index && !repeats(text, &venue))
                    .map(|(_, text)| *text)
                    .collect();
                return Comment {
                    venue: Some(venue.replace(' ', "\u{a0}")),
                    rest: shown(&rest.join(", ")),
                };
            }
        }
    }
    Comment {
        venue: None,
        rest: shown(&comment),
    }
}

fn shown(rest: &str) -> Option<String> {
    let rest = clip(rest.trim_matches([' ', ',', '.', ';']), COMMENT_CHARS_MAX);
    (!rest.is_empty()).then_some(rest)
}

/// A comment without the part that only names an address for which there is a link.
pub(super) fn without_address(comment: &str, href: &str) -> Option<String> {
    /// A part of more words says something else besides.
    const WORDS_MAX: usize = 8;
    let address = href.trim_start_matches("https://");
    let kept: Vec<&str> = parts(comment)
        .into_iter()
        .filter(|part| !(part.contains(address) && part.split(' ').count() <= WORDS_MAX))
        .collect();
    shown(&kept.join(", "))
}

/// The comment's parts between commas, semicolons and full stops, outside brackets.
fn parts(comment: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut depth = 0_usize;
    let mut from = 0;
    for (at, c) in comment.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ',' | ';' if depth == 0 => {
                parts.push(&comment[from..at]);
                from = at + 1;
            }
            '.' if depth == 0 && comment[at + 1..].chars().next().is_none_or(|next| next == ' ') => {
                parts.push(&comment[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&comment[from..]);
    parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

/// `accepted at ICLR 2026` beside a tag `ICLR 2026` says nothing new.
fn repeats(part: &str, found: &str) -> bool {
    venue(part).as_deref() == Some(found)
}

/// The venue that a part names, if it says nothing else of weight.
fn venue(part: &str) -> Option<String> {
    let words: Vec<&str> = part.split([' ', ':']).filter(|word| !word.is_empty()).collect();
    let lower: Vec<String> = words
        .iter()
        .map(|word| word.trim_matches(['(', ')', '[', ']', '"', '\'']).to_lowercase())
        .collect();
    if words.len() > 24
        || lower
            .iter()
            .any(|word| UNCLEAR.contains(&word.as_str()) || word.contains('@'))
    {
        return None;
    }
    // `… (VLDB 2026)`, `… (ICSE'26)`: the short name after the long one of a conference.
    if let Some((before, bracket)) = part.strip_suffix(')').and_then(|part| part.rsplit_once('('))
        && before.to_lowercase().contains("conference")
        && let Some(found) = name_and_year(&bracket.split(' ').collect::<Vec<_>>())
    {
        return Some(found);
    }
    // `… Conference (WSC) 2025`
    if let Some((rest, year)) = part.rsplit_once(") ")
        && let Some((before, name)) = rest.rsplit_once('(')
        && before.to_lowercase().contains("conference")
        && let Some(found) = name_and_year(&[name, year])
    {
        return Some(found);
    }
    let is_around = |word: &str| AROUND.contains(&word) || PREPOSITIONS.contains(&word) || word.is_empty();
    let from = lower.iter().position(|word| !is_around(word))?;
    let to = lower.iter().rposition(|word| !is_around(word))? + 1;
    let named: Vec<&str> = (from..to)
        .filter(|index| !is_around(&lower[*index]))
        .map(|index| words[index])
        .collect();
    name_and_year(&named)
}

/// `ICLR 2026`, `ACM FAccT 2026`, `AAAI-26`, `ICSE'26`, `LAK2026`.
fn name_and_year(words: &[&str]) -> Option<String> {
    let words: Vec<&str> = words.iter().map(|word| word.trim_matches(['(', ')', '"'])).collect();
    let (name, year) = match words.as_slice() {
        [joined] => joined
            .find(|c: char| c.is_ascii_digit())
            .map(|at| (joined[..at].trim_end_matches(['-', '\'', '’']), &joined[at..]))?,
        [name, year] => (*name, year.trim_start_matches(['\'', '’'])),
        ["ACM" | "IEEE" | "IEEE/CVF" | "ACM/IEEE" | "IEEE/ACM", name, year] => {
            (*name, year.trim_start_matches(['\'', '’']))
        }
        _ => return None,
    };
    let year = match year.len() {
        _ if !year.bytes().all(|byte| byte.is_ascii_digit()) => return None,
        2 if year >= "15" => format!("20{year}"),
        4 if ("1991".."2100").contains(&year) => year.to_owned(),
        _ => return None,
    };
    let n_capitals = name.chars().filter(char::is_ascii_uppercase).count();
    let is_name = (n_capitals >= 2 && name.starts_with(|c: char| c.is_ascii_alphabetic())
        || MIXED_CASE.contains(&name))
        && name.len() <= NAME_CHARS_MAX
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '&'))
        && !NOT_VENUES.contains(&name.to_uppercase().as_str());
    is_name.then(|| format!("{name} {year}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(comment: &str, venue: Option<&str>, rest: Option<&str>) {
        let got = read(comment);
        let got_venue = got.venue.map(|venue| venue.replace('\u{a0}', " "));
        assert_eq!(
            (got_venue.as_deref(), got.rest.as_deref()),
            (venue, rest),
            "{comment:?}"
        );
    }

    #[test]
    fn a_venue_that_is_clearly_named_becomes_a_tag() {
        check("Accepted at ICLR 2026", Some("ICLR 2026"), None);
        check("ICLR 2026 (Oral)", Some("ICLR 2026"), None);
        check("AAAI2026 Accepted", Some("AAAI 2026"), None);
        check(
            "26 pages, 7 figures. Accepted to AAAI-26.",
            Some("AAAI 2026"),
            Some("26 pages, 7 figures"),
        );
        check(
            "10 pages, 1 figures, Accepted at AAI'26",
            Some("AAI 2026"),
            Some("10 pages, 1 figures"),
        );
        check(
            "16 pages, 6 figures, LAK2026",
            Some("LAK 2026"),
            Some("16 pages, 6 figures"),
        );
        check("to be published at EACL 2026 main conference", Some("EACL 2026"), None);
        check("Accepted at WACV Main Track 2026", Some("WACV 2026"), None);
        check(
            "8 pages, Published as a conference paper at IJCNN 2025",
            Some("IJCNN 2025"),
            Some("8 pages"),
        );
        check(
            "Accepted at the 52nd International Conference on Very Large Data Bases (VLDB 2026). A and B contributed equally",
            Some("VLDB 2026"),
            Some("A and B contributed equally"),
        );
        check(
            "11 pages, 2 figures, Winter Simulation Conference (WSC) 2025",
            Some("WSC 2025"),
            Some("11 pages, 2 figures"),
        );
        check("Interspeech 2025", Some("Interspeech 2025"), None);
    }

    #[test]
    fn whatever_is_unclear_stays_in_the_comment() {
        for comment in [
            "20 pages",
            "Submitted to ICPR 2026",
            "Accepted at CV4EO Workshop at WACV 2026",
            "Accepted to CogInterp @ NeurIPS 2025",
            "Extended version of paper accepted in AAMAS 2026",
            "Accepted to AAAI-26 Bridge Program B10: Making Embodied AI Reliable",
            "Accepted by Pattern Recognition",
            "Draft of MAY 2026",
            "MAY 2026",
            "IEEE 2025",
            "Version 2026",
            "ＩＣＬＲ 2026",
            "ICLR २०२६",
            "<b>ICLR</b> 2026",
        ] {
            check(comment, None, Some(comment));
        }
        check("", None, None);
        check(" , . ", None, None);
    }

    #[test]
    fn an_address_that_is_linked_is_not_repeated() {
        let check = |comment: &str, expected: Option<&str>| {
            let rest = without_address(comment, "https://github.com/ana/gnn");
            assert_eq!(rest.as_deref(), expected, "{comment:?}");
        };
        check("9 pages, code at https://github.com/ana/gnn", Some("9 pages"));
        check("Code: https://github.com/ana/gnn.", None);
        let telling = "A longer remark that says more than where https://github.com/ana/gnn is to be found";
        check(telling, Some(telling));
    }

    #[test]
    fn a_long_comment_is_kept_whole_up_to_its_limit() {
        let long = "ICLR 2026, ".repeat(100);
        let got = read(&long);
        assert_eq!(got.venue, None);
        assert_eq!(got.rest.unwrap().chars().count(), COMMENT_CHARS_MAX);
    }
}
