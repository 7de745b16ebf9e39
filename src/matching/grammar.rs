//! Reads the query grammar.
//!
//! ```text
//! query  = all { "OR" all }              OR binds least,
//! all    = near { "AND" near }           then AND,
//! near   = unary [ "NEAR/" n unary ]     then NEAR,
//! unary  = [ "NOT" ] unary | atom        NOT most.
//! atom   = "(" query ")" | field ":" atom | [ "=" ] word | [ "=" ] "\"" phrase "\"" | word "*"
//! field  = "ti" | "abs" | "au" | "co" | "cat" | "jr"
//! ```
//!
//! Operators are written in capitals. Words stand alone: two words side by side need an operator or quotes.

mod leaf;

use winnow::{
    Parser as _,
    ascii::{digit1, multispace0},
    combinator::{eof, not, opt, peek, terminated},
    error::ParserError,
    stream::{LocatingSlice, Location as _, Stream as _},
    token::{any, one_of},
};

use self::leaf::{Field, field, is_word_char, leaf};
use super::{
    expression::{Expression, Leaf, Scope},
    fault::{Fault, QueryError},
};

/// The longest query in bytes: what arXiv's address line could hold.
pub const QUERY_BYTES_MAX: usize = 4_000;
/// How deep parentheses and NOT may nest.
pub const DEPTH_MAX: usize = 32;
/// The most words and phrases in one query.
pub const LEAVES_MAX: usize = 200;
/// The widest NEAR, in words.
pub const NEAR_WORDS_MAX: u8 = 50;
/// The fewest letters before a `*`.
pub const PREFIX_LETTERS_MIN: usize = 3;

type Input<'q> = LocatingSlice<&'q str>;
type Parsed<T> = Result<T, Trouble>;

/// A fault and the byte where it shows.
#[derive(Debug, Clone)]
struct Trouble {
    at: usize,
    fault: Fault,
}

impl<'q> ParserError<Input<'q>> for Trouble {
    type Inner = Self;

    fn from_input(input: &Input<'q>) -> Self {
        expected(input, "a word, a \"phrase\", a field, NOT or (")
    }

    fn into_inner(self) -> Result<Self::Inner, Self> {
        Ok(self)
    }
}

/// Reads a query.
///
/// # Errors
/// With the column and what was expected there.
pub fn parse(query: &str) -> Result<Expression, QueryError> {
    if query.trim().is_empty() {
        return Err(QueryError::whole(query, Fault::Blank));
    }
    if query.len() > QUERY_BYTES_MAX {
        return Err(QueryError::whole(
            query,
            Fault::TooLong {
                bytes_max: QUERY_BYTES_MAX,
            },
        ));
    }
    let mut input = LocatingSlice::new(query);
    let expression = whole(&mut input).map_err(|trouble| QueryError::new(query, trouble.at, trouble.fault))?;
    if !expression.is_anchored() {
        return Err(QueryError::whole(query, Fault::OnlyExclusions));
    }
    Ok(expression)
}

/// Where in the tree the parser is.
struct Place {
    /// The field of an enclosing `ti:( … )`.
    field: Field,
    depth: usize,
}

fn whole(input: &mut Input<'_>) -> Parsed<Expression> {
    let place = Place {
        field: Field::Words(Scope::TitleOrAbstract),
        depth: 0,
    };
    let mut leaves = 0;
    let expression = query(input, &place, &mut leaves)?;
    multispace0.parse_next(input)?;
    if opt(eof).parse_next(input)?.is_some() {
        return Ok(expression);
    }
    Err(after_operand(input, "AND, OR, NEAR/n or the end"))
}

fn query(input: &mut Input<'_>, place: &Place, leaves: &mut usize) -> Parsed<Expression> {
    let mut parts = vec![all(input, place, leaves)?];
    while operator(input, "OR")? {
        parts.push(all(input, place, leaves)?);
    }
    Ok(Expression::any(parts))
}

fn all(input: &mut Input<'_>, place: &Place, leaves: &mut usize) -> Parsed<Expression> {
    let mut parts = vec![near(input, place, leaves)?];
    loop {
        // ANDNOT is arXiv's own word for AND NOT.
        if operator(input, "ANDNOT")? {
            parts.push(Expression::Not(Box::new(near(input, place, leaves)?)));
        } else if operator(input, "AND")? {
            parts.push(near(input, place, leaves)?);
        } else {
            return Ok(Expression::all(parts));
        }
    }
}

fn near(input: &mut Input<'_>, place: &Place, leaves: &mut usize) -> Parsed<Expression> {
    multispace0.parse_next(input)?;
    let start = input.current_token_start();
    let left = unary(input, place, leaves)?;
    multispace0.parse_next(input)?;
    let at = input.current_token_start();
    if opt("NEAR/").parse_next(input)?.is_none() {
        return Ok(left);
    }
    let distance = opt(digit1.parse_to::<u8>())
        .parse_next(input)?
        .filter(|distance| (1..=NEAR_WORDS_MAX).contains(distance))
        .ok_or(Trouble {
            at,
            fault: Fault::Distance {
                words_max: NEAR_WORDS_MAX,
            },
        })?;
    multispace0.parse_next(input)?;
    let right_start = input.current_token_start();
    let right = unary(input, place, leaves)?;
    for (side, at) in [(&left, start), (&right, right_start)] {
        if !is_near_side(side) {
            return Err(Trouble {
                at,
                fault: Fault::NearSide,
            });
        }
    }
    multispace0.parse_next(input)?;
    if opt(peek("NEAR/")).parse_next(input)?.is_some() {
        return Err(after_operand(input, "AND, OR or the end (NEAR joins two)"));
    }
    Ok(Expression::Near {
        left: Box::new(left),
        right: Box::new(right),
        distance,
    })
}

/// Words and phrases, or several joined by OR.
fn is_near_side(side: &Expression) -> bool {
    match side {
        Expression::Leaf(Leaf::Words { .. }) => true,
        Expression::Or(parts) => parts.iter().all(is_near_side),
        _ => false,
    }
}

fn unary(input: &mut Input<'_>, place: &Place, leaves: &mut usize) -> Parsed<Expression> {
    multispace0.parse_next(input)?;
    let at = input.current_token_start();
    let inner = Place {
        depth: place.depth + 1,
        ..*place
    };
    if inner.depth > DEPTH_MAX {
        return Err(Trouble {
            at,
            fault: Fault::TooDeep { depth_max: DEPTH_MAX },
        });
    }
    if operator(input, "NOT")? {
        return Ok(Expression::Not(Box::new(unary(input, &inner, leaves)?)));
    }
    atom(input, &inner, leaves)
}

fn atom(input: &mut Input<'_>, place: &Place, leaves: &mut usize) -> Parsed<Expression> {
    let at = input.current_token_start();
    if opt('(').parse_next(input)?.is_some() {
        let inner = query(input, place, leaves)?;
        multispace0.parse_next(input)?;
        if opt(')').parse_next(input)?.is_none() {
            let found = opt(any).parse_next(&mut input.clone())?;
            return Err(match found {
                None => Trouble {
                    at,
                    fault: Fault::OpenParenthesis,
                },
                Some(_) => after_operand(input, "AND, OR, NEAR/n or )"),
            });
        }
        return Ok(inner);
    }
    if let Some(field) = field(input)? {
        let place = Place { field, ..*place };
        multispace0.parse_next(input)?;
        return atom(input, &deeper(&place, at)?, leaves);
    }
    *leaves += 1;
    if *leaves > LEAVES_MAX {
        return Err(Trouble {
            at,
            fault: Fault::TooManyLeaves { leaves_max: LEAVES_MAX },
        });
    }
    leaf(input, place.field).map(Expression::Leaf)
}

/// A field before a field before a field must end as well.
fn deeper(place: &Place, at: usize) -> Parsed<Place> {
    let depth = place.depth + 1;
    if depth > DEPTH_MAX {
        return Err(Trouble {
            at,
            fault: Fault::TooDeep { depth_max: DEPTH_MAX },
        });
    }
    Ok(Place { depth, ..*place })
}

/// Takes an operator, if it is the next word.
fn operator(input: &mut Input<'_>, name: &'static str) -> Parsed<bool> {
    multispace0.parse_next(input)?;
    opt(terminated(name, not(one_of(is_word_char))))
        .parse_next(input)
        .map(|found| found.is_some())
}

/// What is wrong where an operator should stand.
fn after_operand(input: &Input<'_>, what: &'static str) -> Trouble {
    let trouble = expected(input, what);
    let next: &str = next_word(input);
    let fault = match next.to_ascii_uppercase().as_str() {
        operator @ ("AND" | "OR" | "NOT" | "NEAR") if next != operator => Fault::SmallOperator {
            operator: operator.to_owned(),
        },
        "NOT" => Fault::BareNot,
        _ if is_operand(next) => Fault::SideBySide { what },
        _ => trouble.fault,
    };
    Trouble { fault, ..trouble }
}

fn is_operand(next: &str) -> bool {
    next.starts_with(|c: char| c == '"' || c == '(' || c.is_alphanumeric()) && !next.starts_with("NEAR")
}

fn expected(input: &Input<'_>, what: &'static str) -> Trouble {
    let found = next_word(input);
    Trouble {
        at: input.current_token_start(),
        fault: Fault::Expected {
            what,
            found: (!found.is_empty()).then(|| found.to_owned()),
        },
    }
}

/// The next word or sign, for messages; at most 20 characters.
fn next_word<'q>(input: &Input<'q>) -> &'q str {
    let rest: &'q str = input.clone().finish();
    let end = rest
        .char_indices()
        .take(20)
        .find(|(_, c)| !is_word_char(*c))
        .map_or_else(
            || rest.char_indices().nth(20).map_or(rest.len(), |(at, _)| at),
            |(at, _)| at,
        );
    match (end, rest.chars().next()) {
        (0, Some(sign)) => &rest[..sign.len_utf8()],
        _ => &rest[..end],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::matching::expression::Spelling;

    #[test]
    fn operators_bind_as_the_manual_says() {
        let check = |query: &str, expected: &str| assert_eq!(parse(query).unwrap().to_string(), expected, "{query:?}");
        check("a1", "\"a1\"");
        check("x OR y AND NOT z", "\"x\" OR \"y\" AND NOT \"z\"");
        check("(x OR y) AND z", "(\"x\" OR \"y\") AND \"z\"");
        check("x AND (y AND z)", "\"x\" AND \"y\" AND \"z\"");
        check("NOT (x OR y) AND z", "NOT (\"x\" OR \"y\") AND \"z\"");
        check("x ANDNOT y", "\"x\" AND NOT \"y\"");
        check("ti:(x OR abs:y)", "ti:\"x\" OR abs:\"y\"");
        check(
            "deep NEAR/3 \"graph network\" AND q",
            "\"deep\" NEAR/3 \"graph network\" AND \"q\"",
        );
        check("(x OR y) NEAR/1 z", "(\"x\" OR \"y\") NEAR/1 \"z\"");
        check("TI:transform* OR co:=CVPR", "ti:transform* OR co:=\"CVPR\"");
        check(
            "au:\"Jane Doe\" AND cat:CS.lg OR cat:math.*",
            "au:\"Jane Doe\" AND cat:cs.LG OR cat:math.*",
        );
        check("cat:(cs.LG OR stat)", "cat:cs.LG OR cat:stat.*");
        check("C++ OR .NET OR GPT-4o", "\"C++\" OR \".NET\" OR \"GPT-4o\"");
        check("ANDROID OR ORB OR NOTE", "\"ANDROID\" OR \"ORB\" OR \"NOTE\"");
        check(
            "(\"neural architecture search\" OR NAS) AND NOT ti:storage",
            "(\"neural architecture search\" OR \"NAS\") AND NOT ti:\"storage\"",
        );
    }

    #[test]
    fn an_error_points_at_its_place_and_says_what_fits() {
        let check = |query: &str, column: usize, message: &str| {
            let error = parse(query).unwrap_err();
            assert_eq!(error.column(), column, "{query:?}: {error}");
            assert!(error.to_string().contains(message), "{query:?}: {error}");
        };
        check("", 1, "empty");
        check("graph AND", 10, "found the end");
        check("graph AND OR x", 11, "found `OR`");
        check("graph network", 7, "quotes");
        check("graph and network", 7, "capitals");
        check("x NOT y", 3, "AND NOT");
        check("(x OR y", 1, "never closed");
        check("x) OR y", 2, "found `)`");
        check("é OR \"open", 6, "never closed");
        check("title:x", 1, "title:");
        check("x OR !!", 6, "letter or digit");
        check("NOT x", 1, "only exclude");
        check("x OR NOT y", 1, "only exclude");
        check("x NEAR/0 y", 3, "between 1 and 50");
        check("x NEAR/3 (y AND z)", 10, "NEAR");
        check("x NEAR/3 y NEAR/3 z", 12, "NEAR joins two");
        check("ab*", 1, "3 letters");
        check("a*b", 1, "end of a word");
        check("cat:cs.L.G", 5, "category");
        check("au:=Doe", 4, "title, abstract");
        check(&format!("{}x{}", "(".repeat(60), ")".repeat(60)), 33, "32");
        check(&format!("{}x", "NOT ".repeat(9_00)), 129, "32");
        check(&"x OR ".repeat(799), 1001, "200");
        check(&"x".repeat(4_001), 1, "4000 bytes");
    }

    #[test]
    fn a_caret_stands_under_the_fault() {
        let error = parse("深度 graph network").unwrap_err();
        assert_eq!(error.pointer(), "深度 graph network\n     ^");
    }

    fn expressions() -> impl Strategy<Value = Expression> {
        let scope = prop_oneof![
            Just(Scope::TitleOrAbstract),
            Just(Scope::Title),
            Just(Scope::Abstract),
            Just(Scope::Comment),
            Just(Scope::JournalRef)
        ];
        let words =
            (scope, "[a-zA-Z0-9]{3,6}( [a-z+#.é-]{1,4}x){0,2}", 0..3).prop_map(|(scope, text, kind)| Leaf::Words {
                scope,
                spelling: match kind {
                    0 => Spelling::Ordinary,
                    1 => Spelling::Exact,
                    _ if text.contains(' ') => Spelling::Ordinary,
                    _ => Spelling::Prefix,
                },
                text,
            });
        let leaf = prop_oneof![
            8 => words.clone(),
            1 => "[A-Z]\\. [A-Z][a-z]{1,8}".prop_map(Leaf::Author),
            1 => prop_oneof![Just("cs.LG"), Just("math.*"), Just("hep-th")].prop_map(|c| Leaf::Category(c.to_owned())),
        ]
        .prop_map(Expression::Leaf);
        let words = words.prop_map(Expression::Leaf).boxed();
        leaf.prop_recursive(4, 24, 3, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::all),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::any),
                (inner.clone(), inner).prop_map(|(a, b)| Expression::all(vec![a, Expression::Not(Box::new(b))])),
                (
                    words.clone(),
                    prop::collection::vec(words.clone(), 1..3),
                    1..=NEAR_WORDS_MAX
                )
                    .prop_map(|(left, right, distance)| Expression::Near {
                        left: Box::new(left),
                        right: Box::new(Expression::any(right)),
                        distance,
                    }),
            ]
        })
    }

    #[test]
    fn a_hundred_thousand_random_texts_are_parsed_or_refused() {
        const PIECES: [&str; 26] = [
            "(", ")", "\"", " ", "AND ", "OR ", "NOT ", "ANDNOT ", "NEAR/", "3 ", "ti:", "abs:", "au:", "co:", "cat:",
            "jr:", "cs.*", "*", "=", "x ", "word", "é", "\\", "\n", "\u{301}", "深",
        ];
        for text in crate::tex::tests::random_texts(&PIECES) {
            if let Err(error) = parse(&text) {
                assert!(error.column() >= 1 && !error.to_string().is_empty(), "{text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(expression in expressions()) {
            let written = expression.to_string();
            // A random tree may only exclude; such a one is refused, and that is right.
            prop_assume!(expression.is_anchored());
            prop_assert_eq!(parse(&written).map_err(|e| e.to_string()), Ok(expression));
        }

        #[test]
        fn no_heap_of_syntax_makes_the_parser_panic(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "(", ")", "\"", " ", "AND", "OR", "NOT", "NEAR/", "3", "ti:", "cat:", "*", "=", "x", "é", "\\", "\n",
            ]), 0..40)
        ) {
            let text = pieces.concat();
            if let Err(error) = parse(&text) {
                prop_assert!(error.column() >= 1 && !error.pointer().is_empty());
            }
        }
    }
}
