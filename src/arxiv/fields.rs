//! Single fields of a feed: from the text of an element to a value.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use crate::model::{ArxivId, Author};

/// The longest title kept, in bytes.
pub const TITLE_BYTES_MAX: usize = 4_000;
/// The longest abstract kept, in bytes: arXiv allows 1,920 characters, and up to 2,249 were recorded.
pub const ABSTRACT_BYTES_MAX: usize = 20_000;
/// The longest comment, journal reference, name or affiliation kept, in bytes.
pub const LINE_BYTES_MAX: usize = 2_000;
/// The most authors kept of one paper.
pub const AUTHORS_MAX: usize = 5_000;
/// The most affiliations kept of one author.
pub(super) const AFFILIATIONS_MAX: usize = 20;
/// The most categories kept of one paper.
const CATEGORIES_MAX: usize = 64;

/// White space folded to single blanks, control characters dropped, cut at `bytes_max` with an ellipsis.
pub(super) fn line(text: &str, bytes_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(bytes_max));
    push_folded(&mut out, text);
    cut(out, bytes_max)
}

/// A line, or nothing where it would be empty.
pub(super) fn optional(text: &str) -> Option<String> {
    let line = line(text, LINE_BYTES_MAX);
    (!line.is_empty()).then_some(line)
}

/// A title, which is never empty.
pub(super) fn title(text: &str, id: &ArxivId) -> String {
    let title = line(text, TITLE_BYTES_MAX);
    if title.is_empty() {
        format!("(untitled) {id}")
    } else {
        title
    }
}

/// An abstract: lines are joined, and a line that is blank or begins with blanks starts a paragraph,
/// which is how arXiv marks them.
pub(super) fn abstract_text(text: &str) -> String {
    let text = text.trim();
    if is_folded(text) {
        return cut(text.to_owned(), ABSTRACT_BYTES_MAX);
    }
    let mut out = String::with_capacity(text.len().min(ABSTRACT_BYTES_MAX));
    for line in text.lines() {
        let begins = line.starts_with(char::is_whitespace) || line.trim().is_empty();
        if !out.is_empty() && !out.ends_with('\n') {
            out.push(if begins { '\n' } else { ' ' });
        }
        push_folded(&mut out, line);
    }
    let length = out.trim_end().len();
    out.truncate(length);
    cut(out, ABSTRACT_BYTES_MAX)
}

fn push_folded(out: &mut String, text: &str) {
    if is_folded(text) {
        out.push_str(text);
        return;
    }
    let begin = out.len();
    for word in text.split_whitespace() {
        let before = out.len();
        if before > begin {
            out.push(' ');
        }
        let word_begins = out.len();
        if may_hold_controls(word) {
            out.extend(word.chars().filter(|c| !c.is_control()));
        } else {
            out.push_str(word);
        }
        // A word of nothing but control characters leaves no second blank behind.
        if out.len() == word_begins {
            out.truncate(before);
        }
    }
}

/// Whether a text surely has no white space but single blanks between words, and no control characters: most texts
/// have none, and their bytes tell it many at a time.
fn is_folded(text: &str) -> bool {
    // All white space beyond ASCII, and the control characters there, begin with one of these bytes.
    let is_odd = |byte: u8| byte < b' ' || matches!(byte, 0x7f | 0xc2 | 0xe1..=0xe3);
    !text.bytes().fold(false, |is_any_odd, byte| is_any_odd | is_odd(byte))
        && !text.contains("  ")
        && !text.starts_with(' ')
        && !text.ends_with(' ')
}

/// Whether a text may hold control characters that are no white space: `false` is sure, and soon known.
pub(super) fn may_hold_controls(text: &str) -> bool {
    // In UTF-8 those beyond ASCII begin with 0xc2, as harmless characters do.
    let is_suspect = |byte: u8| (byte < b' ' && !matches!(byte, b'\t'..=b'\r')) || matches!(byte, 0x7f | 0xc2);
    text.bytes().fold(false, |is_any, byte| is_any | is_suspect(byte))
}

fn cut(mut text: String, bytes_max: usize) -> String {
    const ELLIPSIS: char = '…';
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max.saturating_sub(ELLIPSIS.len_utf8())));
        text.push(ELLIPSIS);
    }
    text
}

/// An instant in any of the forms that arXiv's interfaces use (RFC 3339, RFC 2822, a bare day), digits
/// left out or not. `None` where it cannot be read or lies outside arXiv's time: it never costs the paper.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if text.is_empty() || text.len() > 64 {
        return None;
    }
    let at = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_rfc2822(text))
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z"))
        .map(|at| at.to_utc())
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%SZ").map(|at| at.and_utc()))
        .or_else(|_| NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|day| day.and_time(NaiveTime::MIN).and_utc()))
        .ok()?;
    (1986..=2100).contains(&at.year()).then_some(at)
}

/// Appends categories in order, each once, leaving out what is no arXiv category: ACM and MSC classes
/// come in the same elements, in the old service even under arXiv's own scheme.
pub(super) fn push_categories(categories: &mut Vec<String>, terms: impl IntoIterator<Item = impl AsRef<str>>) {
    for term in terms {
        let term = term.as_ref().trim();
        if is_category(term) && categories.len() < CATEGORIES_MAX && !categories.iter().any(|known| known == term) {
            categories.push(term.to_owned());
        }
    }
}

fn is_category(term: &str) -> bool {
    let (archive, class) = term.split_once('.').map_or((term, None), |(a, c)| (a, Some(c)));
    let is_archive = (2..=16).contains(&archive.len())
        && archive.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        && !archive.starts_with('-');
    let is_class = class.is_none_or(|class| {
        (2..=16).contains(&class.len()) && class.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
    });
    is_archive && is_class
}

/// An author's name as the API gives it; nothing for an empty name or the lone `:` that stands between
/// a collaboration and its members.
pub(super) fn author(name: &str, affiliations: Vec<String>) -> Option<Author> {
    let mut name = line(name, LINE_BYTES_MAX);
    let inside = name.trim_matches([':', ',', ';', ' ']);
    if inside.len() < name.len() {
        name = inside.to_owned();
    }
    name.chars()
        .any(char::is_alphanumeric)
        .then_some(Author { name, affiliations })
}

/// Whether comment or abstract say that this version withdraws the paper. A paper about things that were
/// withdrawn is not meant: the sentence must be about the paper itself.
pub(super) fn is_withdrawn(comment: &str, abstract_text: &str) -> bool {
    says_withdrawn(comment, true) || says_withdrawn(abstract_text, false)
}

fn says_withdrawn(text: &str, is_comment: bool) -> bool {
    const WITHDRAWN: &str = "withdrawn";
    const DETERMINERS: [&str; 3] = ["this", "the", "our"];
    const NOUNS: [&str; 13] = [
        "paper",
        "article",
        "manuscript",
        "submission",
        "preprint",
        "e-print",
        "eprint",
        "work",
        "note",
        "letter",
        "version",
        "thesis",
        "document",
    ];
    const VERBS: [&str; 6] = ["has", "have", "had", "is", "was", "been"];
    const ADVERBS: [&str; 10] = [
        "now",
        "since",
        "temporarily",
        "officially",
        "formally",
        "hereby",
        "currently",
        "voluntarily",
        "therefore",
        "also",
    ];
    // Nearly no text holds the word, whatever stands around it.
    let begins = memchr::memchr2_iter(b'w', b'W', text.as_bytes());
    let is_there = |at: usize| {
        text.as_bytes()[at..]
            .get(..WITHDRAWN.len())
            .is_some_and(|word| word.eq_ignore_ascii_case(WITHDRAWN.as_bytes()))
    };
    if !begins.into_iter().any(is_there) {
        return false;
    }
    text.split(['.', ';', '!', '\n']).any(|sentence| {
        let words: Vec<String> = sentence
            .split(|c: char| !(c.is_alphanumeric() || c == '-'))
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        let word = |at: usize| words.get(at).map_or("", String::as_str);
        words.iter().enumerate().any(|(at, found)| {
            if found != WITHDRAWN {
                return false;
            }
            // "Withdrawn", "withdrawn by the author", "paper withdrawn": only a comment is that short.
            if is_comment && (at == 0 || (at <= 2 && NOUNS.contains(&word(at - 1)))) {
                return true;
            }
            let mut subject = at;
            while subject > 0 && (VERBS.contains(&word(subject - 1)) || ADVERBS.contains(&word(subject - 1))) {
                subject -= 1;
            }
            let has_verb = (subject..at).any(|at| VERBS.contains(&word(at)));
            if !has_verb && word(at + 1) != "by" {
                return false;
            }
            let about_the_paper = subject >= 2
                && NOUNS.contains(&word(subject - 1))
                && DETERMINERS.contains(&word(subject - 2))
                // In prose "the paper has been withdrawn" may be about another paper, unless it opens the sentence.
                && (is_comment || word(subject - 2) == "this" || subject <= 3);
            // "This paper was submitted by mistake and has now been withdrawn".
            let joined = is_comment
                && has_verb
                && subject >= 1
                && word(subject - 1) == "and"
                && words
                    .windows(2)
                    .take(subject)
                    .any(|pair| DETERMINERS.contains(&pair[0].as_str()) && NOUNS.contains(&pair[1].as_str()));
            about_the_paper || joined
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_withdrawn(comment: &str, abstract_text: &str, expected: bool) {
        assert_eq!(
            is_withdrawn(comment, abstract_text),
            expected,
            "{comment:?} {abstract_text:?}"
        );
    }

    #[test]
    fn a_withdrawal_is_told_from_a_paper_about_withdrawals() {
        for comment in [
            "This submission has been withdrawn",
            "This paper has been withdrawn by the authors. 6 pages, 7 figures",
            "12 pages. This paper was submitted by mistake and has now been withdrawn",
            "Withdrawn",
            "withdrawn by the author due to an error in Lemma 3",
            "Paper withdrawn",
            "This version withdrawn by arXiv administrators because the author did not have the right",
            "arXiv admin note: This submission has been withdrawn by arXiv administrators",
        ] {
            check_withdrawn(comment, "", true);
        }
        check_withdrawn("", "This paper has been withdrawn by the author due to an error.", true);
        check_withdrawn(
            "",
            "Some result. Note the paper has been withdrawn. A presentation",
            true,
        );
        for prose in [
            "We study drugs that have been withdrawn from the market.",
            "In this paper, we look at drugs withdrawn by their makers.",
            "Citations go on after the authors learn that the paper has been withdrawn.",
            "This paper studies a drug that was approved and has been withdrawn.",
            "Troops were withdrawn by the government.",
            "inductive withdrawal and the electron-withdrawing group",
        ] {
            check_withdrawn("", prose, false);
        }
        check_withdrawn("12 pages, on drugs withdrawn in 2004", "", false);
        check_withdrawn(
            "Substantial text overlap with arXiv:2401.00001, since withdrawn",
            "",
            false,
        );
    }

    #[test]
    fn dates_are_read_in_every_form_or_left_out() {
        let check = |text: &str, expected: Option<&str>| {
            let got = instant(text).map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
            assert_eq!(got.as_deref(), expected, "{text:?}");
        };
        check("2026-03-09T23:30:00-05:00", Some("2026-03-10T04:30:00Z"));
        check("2026-03-10T04:30:00Z", Some("2026-03-10T04:30:00Z"));
        check("2026-3-9T01:00:00Z", Some("2026-03-09T01:00:00Z"));
        check("2026-03-09", Some("2026-03-09T00:00:00Z"));
        check("Wed, 23 Jan 2008 21:06:41 GMT", Some("2008-01-23T21:06:41Z"));
        check("Thu, 24 Sep 2026 00:00:00 -0400", Some("2026-09-24T04:00:00Z"));
        check("2025-08-20T04:00:19.866337+00:00", Some("2025-08-20T04:00:19Z"));
        for bad in [
            "",
            "yesterday",
            "2026-13-01",
            "0001-01-01T00:00:00Z",
            "9999-01-01",
            "2026-02-30T00:00:00Z",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn white_space_is_folded_and_paragraphs_are_kept() {
        assert_eq!(line("  A\n  B\u{2}C \u{7} D\t", 100), "A BC D");
        assert_eq!(line("\u{1} \u{2}", 100), "");
        assert_eq!(line("ééé", 6), "ééé");
        assert_eq!(line("éééé", 7), "éé…");
        assert_eq!(
            abstract_text("  One\ntwo.\n  Three\nfour.\n\nFive\n"),
            "One two.\nThree four.\nFive"
        );
        assert_eq!(abstract_text(" \n \n"), "");
    }

    #[test]
    fn only_arxiv_categories_are_categories() {
        let mut categories = Vec::new();
        push_categories(
            &mut categories,
            [
                "cs.AI",
                "14J60 (Primary)",
                "F.2.2",
                "q-bio.QM",
                "hep-th",
                "cs.AI",
                "cond-mat.mes-hall",
                "I.2.6; G.1",
                "",
                "68T05",
            ],
        );
        assert_eq!(categories, ["cs.AI", "q-bio.QM", "hep-th", "cond-mat.mes-hall"]);
    }
}
