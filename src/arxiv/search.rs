//! A term as arXiv queries, and the window that they look at.
//!
//! A query finds a superset of what [`crate::matching`] accepts; the matcher decides. So NOT is left out, NEAR
//! becomes AND, and a word that arXiv's index cannot answer for is left out of an AND. The known gaps are what
//! arXiv's index takes for one token although the matcher sees two (`word.word`, `a_b`, `\textbf{R}est`), accents
//! in names that [`spelling`] does not list, and initials written together (`J.Q. Doe`) of an author whose middle
//! name is not configured; a harvest finds those.
//!
//! arXiv's grammar has no precedence and repairs what it does not understand, so every group is in parentheses
//! and every phrase in quotes.

mod spelling;

use chrono::{DateTime, Duration, Utc};

use crate::{
    matching::{Expression, Leaf, QueryError, Scope, category, expression},
    model::Term,
};

/// The longest request line that arXiv takes is 4,094 bytes; addresses stay below this.
pub const URL_BYTES_MAX: usize = 3_900;
/// What the address holds besides the query: host, path, paging, sorting and the window.
const URL_REST_BYTES: usize = 500;
/// The most queries that one term may become.
pub const QUERIES_MAX: usize = 20;

/// A term that cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The term itself is wrong.
    #[error("the term cannot be read")]
    Term(#[from] QueryError),
    /// arXiv's search knows none of its words.
    #[error("{text:?} holds only words that arXiv's search leaves out; it can be found only with source = \"harvest\"")]
    NotSearchable {
        /// The term.
        text: String,
    },
    /// It would need too many requests.
    #[error("{text:?} would need more than {QUERIES_MAX} requests; divide it into several keywords")]
    TooLarge {
        /// The term.
        text: String,
    },
}

/// The queries that together find every paper which fits the term and, of each list of categories, at least one.
///
/// Nearly always one; several where one would be longer than an address may be. Each is one group in
/// parentheses, not yet encoded. A list of categories without any that can exist is no restriction here.
///
/// # Errors
/// If the term cannot be read or asked for.
pub fn search_queries(term: &Term, categories: &[Vec<String>]) -> Result<Vec<String>, SearchError> {
    let text = || term.text.clone();
    let tree = compile(&expression(term)?).ok_or_else(|| SearchError::NotSearchable { text: text() })?;
    let mut room = URL_BYTES_MAX - URL_REST_BYTES;
    let mut filters = Vec::new();
    for filter in categories.iter().filter_map(|list| any_category(list)) {
        // Half of the room is the term's; categories that do not fit are left to the matcher's side.
        let size = filter.encoded_len() + encoded_len(" AND ()");
        if room - size.min(room) >= (URL_BYTES_MAX - URL_REST_BYTES) / 2 {
            room -= size;
            filters.push(filter);
        }
    }
    let parts = split(tree, room);
    if parts.len() > QUERIES_MAX {
        return Err(SearchError::TooLarge { text: text() });
    }
    Ok(parts
        .into_iter()
        .map(|part| {
            let mut all = vec![part];
            all.extend(filters.iter().cloned());
            Tree::and(all).to_string()
        })
        .collect())
}

/// The query, restricted to papers whose first version was submitted between two instants, both included.
///
/// arXiv counts in minutes, so the window is widened to whole ones.
pub fn within(query: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    let to = to
        .checked_add_signed(Duration::seconds(59))
        .unwrap_or(DateTime::<Utc>::MAX_UTC);
    let minute = |at: DateTime<Utc>| at.format("%Y%m%d%H%M").to_string();
    format!("({query} AND submittedDate:[{} TO {}])", minute(from), minute(to))
}

/// A query before it is written down.
#[derive(Debug, Clone)]
enum Tree {
    /// `ti:"graph"`
    Term(String),
    /// At least one.
    And(Vec<Tree>),
    /// At least one.
    Or(Vec<Tree>),
}

impl Tree {
    fn and(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 {
            parts.remove(0)
        } else {
            Self::And(parts)
        }
    }

    /// The length once encoded for an address.
    fn encoded_len(&self) -> usize {
        match self {
            Self::Term(text) => encoded_len(text),
            Self::And(parts) | Self::Or(parts) => {
                let operators = 5 * parts.len();
                parts.iter().map(Self::encoded_len).sum::<usize>() + operators + encoded_len("()")
            }
        }
    }
}

impl std::fmt::Display for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (parts, operator) = match self {
            Self::Term(text) => return f.write_str(text),
            Self::And(parts) => (parts, " AND "),
            Self::Or(parts) => (parts, " OR "),
        };
        let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
        write!(f, "({})", parts.join(operator))
    }
}

/// Bytes of a text as a form encodes it: a blank is one byte, a sign outside the unreserved ones three.
fn encoded_len(text: &str) -> usize {
    let width = |b: u8| {
        if b.is_ascii_alphanumeric() || b" -._*".contains(&b) {
            1
        } else {
            3
        }
    };
    text.bytes().map(width).sum()
}

/// What finds all that fits; `None` if nothing but everything would.
fn compile(expression: &Expression) -> Option<Tree> {
    match expression {
        Expression::Leaf(Leaf::Words { scope, text, spelling }) => {
            let fields: &[&str] = match scope {
                Scope::TitleOrAbstract => &["ti", "abs"],
                Scope::Title => &["ti"],
                Scope::Abstract => &["abs"],
                Scope::Comment => &["co"],
                Scope::JournalRef => &["jr"],
            };
            let is_stemmed = matches!(scope, Scope::TitleOrAbstract | Scope::Title | Scope::Abstract);
            let forms = spelling::forms(text, *spelling, is_stemmed);
            any_term(
                forms
                    .iter()
                    .flat_map(|form| fields.iter().map(move |field| format!("{field}:{form}"))),
            )
        }
        Expression::Leaf(Leaf::Author(name)) => {
            any_term(spelling::names(name).into_iter().map(|form| format!("au:\"{form}\"")))
        }
        Expression::Leaf(Leaf::Category(pattern)) => any_category(std::slice::from_ref(pattern)),
        Expression::Not(_) => None,
        Expression::Near { left, right, .. } => all([left.as_ref(), right.as_ref()]),
        Expression::And(parts) => all(parts),
        Expression::Or(parts) => parts.iter().map(compile).collect::<Option<_>>().map(Tree::Or),
    }
}

fn all<'e>(parts: impl IntoIterator<Item = &'e Expression>) -> Option<Tree> {
    let parts: Vec<Tree> = parts.into_iter().filter_map(compile).collect();
    (!parts.is_empty()).then(|| Tree::and(parts))
}

fn any_term(terms: impl Iterator<Item = String>) -> Option<Tree> {
    let terms: Vec<Tree> = terms.map(Tree::Term).collect();
    (!terms.is_empty()).then_some(Tree::Or(terms))
}

/// Any of the patterns, under all their names.
fn any_category(patterns: &[String]) -> Option<Tree> {
    let mut names: Vec<String> = Vec::new();
    for pattern in patterns.iter().filter_map(|pattern| category::canonical(pattern)) {
        let twins = category::aliases(&pattern).into_iter().map(str::to_owned);
        for name in std::iter::once(pattern.clone()).chain(twins) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    any_term(names.into_iter().map(|name| format!("cat:{name}")))
}

/// Divides a tree into trees that fit into `room` and together find at least the same.
fn split(tree: Tree, room: usize) -> Vec<Tree> {
    if tree.encoded_len() <= room {
        return vec![tree];
    }
    match tree {
        // A phrase is bounded well below the room.
        Tree::Term(_) => vec![tree],
        Tree::Or(parts) => {
            let mut groups: Vec<Vec<Tree>> = Vec::new();
            // A group's own parentheses need room too.
            let inner = room.saturating_sub(encoded_len("()") + 5);
            for part in parts.into_iter().flat_map(|part| split(part, inner)) {
                match groups.last_mut() {
                    Some(group) if Tree::Or(group.clone()).encoded_len() + part.encoded_len() + 5 <= room => {
                        group.push(part);
                    }
                    _ => groups.push(vec![part]),
                }
            }
            groups.into_iter().map(Tree::Or).collect()
        }
        // Each part alone finds all; the shortest ones that fit together find the least besides.
        Tree::And(mut parts) => {
            parts.sort_by_key(Tree::encoded_len);
            let mut chosen: Vec<Tree> = Vec::new();
            let mut size = encoded_len("()");
            let shortest = parts[0].clone();
            for part in parts {
                size += part.encoded_len() + 5;
                if size > room {
                    break;
                }
                chosen.push(part);
            }
            if chosen.is_empty() {
                split(shortest, room)
            } else {
                vec![Tree::and(chosen)]
            }
        }
    }
}
