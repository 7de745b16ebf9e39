//! Where the `[[subscriber]]` tables of a file stand, so that each can be parsed alone and forgotten: a parsed table takes
//! many times the room of its text, and some files hold a hundred thousand.

use std::ops::Range;

use toml_parser::{
    Source,
    lexer::{Token, TokenKind},
};

/// The key of the tables that are cut out.
const KEY: &str = "subscriber";

/// Where each `[[subscriber]]` table stands, from its header to the next header of another table, in order.
///
/// Only what surely is such a table is found: in a file whose brackets do not match nothing is found behind the first that
/// does not.
pub(super) fn subscriber_tables(text: &str) -> Vec<Range<usize>> {
    let mut tables: Vec<Range<usize>> = Vec::new();
    let mut is_open = false;
    // How many brackets and braces are open, and whether only blanks stand before on the line.
    let (mut depth, mut is_first) = (0_usize, true);
    let mut tokens = Source::new(text).lex().peekable();
    while let Some(token) = tokens.next() {
        match token.kind() {
            TokenKind::LeftSquareBracket if is_first && depth == 0 => {
                let start = token.span().start();
                let mut header = vec![token];
                while let Some(next) = tokens.next_if(|next| !ends_line(next.kind())) {
                    header.push(next);
                }
                for token in &header {
                    depth = depth_after(depth, token.kind());
                }
                let kind = kind_of(&header, text);
                if is_open
                    && !matches!(kind, Header::Within)
                    && let Some(former) = tables.last_mut()
                {
                    former.end = start;
                }
                match kind {
                    Header::List => {
                        tables.push(start..text.len());
                        is_open = true;
                    }
                    // `[subscriber.x]` belongs to the one above, if there is one.
                    Header::Within => {}
                    Header::Other => is_open = false,
                }
                is_first = false;
            }
            TokenKind::Newline => is_first = true,
            TokenKind::Whitespace => {}
            kind => {
                depth = depth_after(depth, kind);
                is_first = false;
            }
        }
    }
    tables
}

/// The text with blanks in place of these parts, so that everything else stays where it was.
pub(super) fn without(text: &str, parts: &[Range<usize>]) -> String {
    let mut rest = String::with_capacity(text.len());
    for part in parts {
        rest.push_str(&text[rest.len()..part.start]);
        rest.extend(std::iter::repeat_n(' ', part.len()));
    }
    rest.push_str(&text[rest.len()..]);
    rest
}

/// Which table a header begins.
enum Header {
    /// `[[subscriber]]`.
    List,
    /// Anything else that begins with that key.
    Within,
    Other,
}

fn kind_of(header: &[Token], text: &str) -> Header {
    let kinds: Vec<TokenKind> = header
        .iter()
        .map(Token::kind)
        .filter(|kind| *kind != TokenKind::Whitespace)
        .collect();
    let key = header
        .iter()
        .find(|token| !matches!(token.kind(), TokenKind::LeftSquareBracket | TokenKind::Whitespace));
    let is_ours = key.is_some_and(|key| {
        let span = key.span();
        text[span.start()..span.end()].trim_matches(['"', '\'']) == KEY
    });
    match kinds.as_slice() {
        _ if !is_ours => Header::Other,
        [
            TokenKind::LeftSquareBracket,
            TokenKind::LeftSquareBracket,
            _,
            TokenKind::RightSquareBracket,
            TokenKind::RightSquareBracket,
        ] => Header::List,
        _ => Header::Within,
    }
}

fn ends_line(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Newline | TokenKind::Comment | TokenKind::Eof)
}

fn depth_after(depth: usize, kind: TokenKind) -> usize {
    match kind {
        TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth + 1,
        TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => depth.saturating_sub(1),
        _ => depth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables that are found, and what is left with its blanks shortened.
    fn check(text: &str, tables: &[&str], rest: &str) {
        let found = subscriber_tables(text);
        let texts: Vec<&str> = found.iter().map(|range| &text[range.clone()]).collect();
        assert_eq!(texts, tables, "{text:?}");
        let left = without(text, &found);
        assert_eq!(left.len(), text.len());
        assert_eq!(
            left.split(' ')
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
                .join(" "),
            rest,
            "{text:?}"
        );
    }

    #[test]
    fn each_table_goes_from_its_header_to_the_next() {
        check("", &[], "");
        check("a=1\n", &[], "a=1\n");
        check(
            "[[subscriber]]\na=1\n[[subscriber]]\nb=2",
            &["[[subscriber]]\na=1\n", "[[subscriber]]\nb=2"],
            "",
        );
        check(
            "k=[]\n [[ subscriber ]] # one\na=1\n[mail]\nb=2\n[[ \"subscriber\" ]]\nc=3\n[[group]]\n",
            &["[[ subscriber ]] # one\na=1\n", "[[ \"subscriber\" ]]\nc=3\n"],
            "k=[]\n [mail]\nb=2\n [[group]]\n",
        );
        // Keys below a subscriber are refused, in its own table.
        check(
            "[[subscriber]]\n[subscriber.x]\ny=1\n[arxiv]\n",
            &["[[subscriber]]\n[subscriber.x]\ny=1\n"],
            "[arxiv]\n",
        );
        check(
            "[[subscribers]]\n[[subscriber.x]]\n[subscriber]\n",
            &[],
            "[[subscribers]]\n[[subscriber.x]]\n[subscriber]\n",
        );
    }

    #[test]
    fn what_only_looks_like_a_header_is_none() {
        check("a='''\n[[subscriber]]\n'''\n", &[], "a='''\n[[subscriber]]\n'''\n");
        check(
            "a=\"\"\"\n[[subscriber]]\n\"\"\"",
            &[],
            "a=\"\"\"\n[[subscriber]]\n\"\"\"",
        );
        check("a=[\n[[subscriber]]\n]\n", &[], "a=[\n[[subscriber]]\n]\n");
        check("#[[subscriber]]\n", &[], "#[[subscriber]]\n");
        check(
            "[[subscriber]]\na='''\n[[group]]\n'''\n",
            &["[[subscriber]]\na='''\n[[group]]\n'''\n"],
            "",
        );
    }

    #[test]
    fn behind_a_bracket_that_nothing_closes_nothing_is_found() {
        check(
            "[[subscriber]]\na=[1\n[[subscriber]]\n[mail]\n",
            &["[[subscriber]]\na=[1\n[[subscriber]]\n[mail]\n"],
            "",
        );
        check(
            "[[subscriber]\n[[subscriber]]\n",
            &[],
            "[[subscriber]\n[[subscriber]]\n",
        );
    }
}
