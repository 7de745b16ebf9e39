//! The part of an abstract that a short card shows: its opening, and a sentence that says why the paper is here.

use super::{clean::fitting, prose::Prose};

/// About four lines of the mail.
const EXCERPT_CHARS: usize = 290;
const ELLIPSIS: &str = "\u{a0}…";

/// Shortens an abstract to about [`EXCERPT_CHARS`] characters. Says whether anything was left out.
///
/// It ends at a sentence if that keeps two thirds, else at a word. If neither the title nor the opening shows a match,
/// the sentence with the first match follows the first sentence, or stands alone where there is no room for both.
pub(super) fn shorten(text: Prose, title_is_marked: bool) -> (Prose, bool) {
    let text = text.in_one_line();
    let plain = text.plain();
    if plain.chars().count() <= EXCERPT_CHARS {
        return (text, false);
    }
    let opening = opening_end(&plain, EXCERPT_CHARS);
    let mark = text.first_mark().filter(|mark| !title_is_marked && *mark >= opening);
    let mut excerpt = match mark {
        None => text.slice(0..opening),
        Some(mark) => with_match(&text, &plain, mark),
    };
    excerpt.append(ELLIPSIS);
    (excerpt, true)
}

fn with_match(text: &Prose, plain: &str, mark: usize) -> Prose {
    let ends = sentence_ends(plain);
    let start = ends
        .iter()
        .rev()
        .find(|end| **end <= mark)
        .map_or(0, |end| end + (plain[*end..].len() - plain[*end..].trim_start().len()));
    let end = ends.iter().copied().find(|end| *end > mark).unwrap_or(plain.len());
    let first_end = ends.first().copied().unwrap_or(0);
    let n_sentence = plain[start..end].chars().count();
    let n_first = plain[..first_end].chars().count();
    let mut excerpt = Prose::default();
    if n_sentence <= EXCERPT_CHARS {
        if first_end > 0 && first_end < start && n_first + n_sentence + 3 <= EXCERPT_CHARS {
            excerpt.extend(&text.slice(0..first_end));
            excerpt.append(ELLIPSIS);
            excerpt.append(" ");
        } else if start > 0 {
            excerpt.append("…\u{a0}");
        }
        excerpt.extend(&text.slice(start..end));
    } else {
        // A very long sentence: the words around the match.
        let before = plain[start..mark]
            .char_indices()
            .rev()
            .take(EXCERPT_CHARS / 3)
            .filter(|(_, c)| *c == ' ')
            .last()
            .map_or(mark, |(blank, _)| start + blank + 1);
        excerpt.append("…\u{a0}");
        let end = before + opening_end(&plain[before..end], EXCERPT_CHARS);
        excerpt.extend(&text.slice(before..end));
    }
    excerpt
}

/// Where an opening of at most `chars_max` characters ends.
fn opening_end(plain: &str, chars_max: usize) -> usize {
    let limit = fitting(plain, chars_max);
    if limit == plain.len() {
        return limit;
    }
    let head = &plain[..limit];
    if let Some(end) = sentence_ends(head).last().copied().filter(|end| end * 3 >= limit * 2) {
        return end;
    }
    let word = head.rfind(' ').filter(|blank| *blank * 2 > limit).unwrap_or(limit);
    head[..word].trim_end_matches([' ', ',', ';', ':', '(', '–', '-']).len()
}

/// Where sentences end: behind `.`, `!` or `?` before a blank and a capital, not behind an abbreviation or an initial;
/// and behind the full stops of Chinese and Japanese.
fn sentence_ends(plain: &str) -> Vec<usize> {
    const ABBREVIATIONS: [&str; 14] = [
        "e.g", "i.e", "al", "etc", "vs", "cf", "Fig", "Figs", "Eq", "Eqs", "Sec", "Ref", "Dr", "St",
    ];
    let mut ends = Vec::new();
    for (at, stop) in plain.char_indices() {
        let end = at + stop.len_utf8();
        let rest = &plain[end..];
        match stop {
            '。' | '！' | '？' => ends.push(end),
            '.' | '!' | '?' => {
                let mut following = rest.chars();
                let is_followed = following.next() == Some(' ')
                    && following
                        .find(|c| *c != ' ' && *c != '(')
                        .is_none_or(|c| c.is_uppercase() || c.is_numeric());
                let word = plain[..at].rsplit([' ', '(']).next().unwrap_or_default();
                let is_short = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
                if is_followed && !(stop == '.' && (is_short || ABBREVIATIONS.contains(&word))) {
                    ends.push(end);
                }
            }
            _ => {}
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, mark: Option<&str>, title_is_marked: bool, expected: &str) {
        let marks: Vec<_> = mark
            .map(|word| source.find(word).unwrap())
            .map(|at| at..at + mark.unwrap().len())
            .into_iter()
            .collect();
        let (excerpt, _) = shorten(Prose::read(source, &marks), title_is_marked);
        assert_eq!(excerpt.plain(), expected);
    }

    #[test]
    fn a_short_abstract_stays_whole() {
        let (excerpt, is_cut) = shorten(Prose::read("All of it.\nIndeed.", &[]), false);
        assert_eq!((excerpt.plain().as_str(), is_cut), ("All of it. Indeed.", false));
    }

    #[test]
    fn an_opening_ends_at_a_sentence_that_keeps_two_thirds_else_at_a_word() {
        let sentence = format!("A{}.", " word".repeat(40));
        check(
            &format!("{sentence} Then{}", " more".repeat(60)),
            None,
            false,
            &format!("{sentence}\u{a0}…"),
        );
        let words = format!("First. And{}", " words".repeat(80));
        let (excerpt, is_cut) = shorten(Prose::read(&words, &[]), false);
        assert!(
            is_cut && excerpt.plain().ends_with(" words\u{a0}…"),
            "{}",
            excerpt.plain()
        );
        assert!(excerpt.plain().chars().count() <= EXCERPT_CHARS + 2);
    }

    #[test]
    fn a_match_further_down_brings_its_sentence() {
        let filler = "Filler goes on and on without saying much of note here. ".repeat(8);
        let source = format!("It opens. {filler}We use frobnication, e.g. Example. It ends with more. {filler}");
        check(
            &source,
            Some("frobnication"),
            false,
            "It opens.\u{a0}… We use frobnication, e.g. Example.\u{a0}…",
        );
        let opening = format!(
            "It opens. {}",
            "Filler goes on and on without saying much of note here. ".repeat(5)
        );
        check(
            &source,
            Some("frobnication"),
            true,
            &format!("{}\u{a0}…", opening.trim_end()),
        );
        let long_first = format!("A{}. We use frobnication today. {filler}", " very".repeat(60));
        check(
            &long_first,
            Some("frobnication"),
            false,
            "…\u{a0}We use frobnication today.\u{a0}…",
        );
    }

    #[test]
    fn one_word_without_end_is_cut_between_visible_characters() {
        let source = "👩\u{200d}🔬".repeat(800);
        let (excerpt, is_cut) = shorten(Prose::read(&source, &[]), false);
        assert!(is_cut);
        assert_eq!(excerpt.plain().trim_end_matches("\u{a0}…").chars().count() % 3, 0);
    }
}
