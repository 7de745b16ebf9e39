//! What a term means: leaves joined by AND, OR, NOT and NEAR.

use std::fmt;

/// A term as a tree. Operators bind in the order NOT, NEAR, AND, OR: `a OR NOT b AND c` is `a OR ((NOT b) AND c)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expression {
    /// One thing to look for.
    Leaf(Leaf),
    /// Keeps a paper out.
    Not(Box<Expression>),
    /// Two things in one field with at most `distance` words between them, in either order.
    Near {
        /// One side: a word, a phrase, or several joined by OR.
        left: Box<Expression>,
        /// The other side.
        right: Box<Expression>,
        /// The most words between them.
        distance: u8,
    },
    /// All of them, at least two.
    And(Vec<Expression>),
    /// At least one of them; two or more.
    Or(Vec<Expression>),
}

/// One thing to look for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// A word or phrase.
    Words {
        /// Where it may stand.
        scope: Scope,
        /// As written.
        text: String,
        /// How closely the text must be met.
        spelling: Spelling,
    },
    /// A name among the authors.
    Author(String),
    /// A category pattern in canonical form: `cs.LG`, `cs.*`.
    Category(String),
}

/// Where words may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// In title or abstract: without a field.
    TitleOrAbstract,
    /// `ti:`
    Title,
    /// `abs:`
    Abstract,
    /// `co:`
    Comment,
    /// `jr:`
    JournalRef,
}

/// How closely words must be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// Any case unless in capitals, without accents, the last word also in the plural.
    Ordinary,
    /// `=word`: exactly these characters.
    Exact,
    /// `word*`: whatever begins so.
    Prefix,
}

impl Expression {
    /// All of them; a single one stands for itself, nested ANDs are one.
    pub fn all(parts: Vec<Self>) -> Self {
        Self::joined(parts, Self::And, |part| match part {
            Self::And(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// One of them; a single one stands for itself, nested ORs are one.
    pub fn any(parts: Vec<Self>) -> Self {
        Self::joined(parts, Self::Or, |part| match part {
            Self::Or(inner) => Ok(inner),
            other => Err(other),
        })
    }

    fn joined(parts: Vec<Self>, join: fn(Vec<Self>) -> Self, open: fn(Self) -> Result<Vec<Self>, Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match open(part) {
                Ok(inner) => flat.extend(inner),
                Err(other) => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { join(flat) }
    }

    /// Whether every paper that fits holds something that was asked for; `NOT x` alone fits nearly everything.
    pub fn is_anchored(&self) -> bool {
        match self {
            Self::Leaf(_) | Self::Near { .. } => true,
            Self::Not(_) => false,
            Self::And(parts) => parts.iter().any(Self::is_anchored),
            Self::Or(parts) => parts.iter().all(Self::is_anchored),
        }
    }

    /// Strength of binding, for parentheses.
    fn rank(&self) -> u8 {
        match self {
            Self::Or(_) => 0,
            Self::And(_) => 1,
            Self::Near { .. } => 2,
            Self::Not(_) => 3,
            Self::Leaf(_) => 4,
        }
    }

    /// Writes `self` in a place that needs at least `rank`.
    fn write(&self, f: &mut fmt::Formatter<'_>, rank: u8) -> fmt::Result {
        if self.rank() < rank {
            f.write_str("(")?;
            self.write(f, 0)?;
            return f.write_str(")");
        }
        let list = |f: &mut fmt::Formatter<'_>, parts: &[Self], operator: &str, rank: u8| {
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    write!(f, " {operator} ")?;
                }
                part.write(f, rank)?;
            }
            Ok(())
        };
        match self {
            Self::Leaf(leaf) => write!(f, "{leaf}"),
            Self::Not(inner) => {
                f.write_str("NOT ")?;
                inner.write(f, 3)
            }
            Self::Near { left, right, distance } => {
                left.write(f, 3)?;
                write!(f, " NEAR/{distance} ")?;
                right.write(f, 3)
            }
            Self::And(parts) => list(f, parts, "AND", 2),
            Self::Or(parts) => list(f, parts, "OR", 1),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words { scope, text, spelling } => {
                f.write_str(scope.prefix())?;
                match spelling {
                    Spelling::Ordinary => write!(f, "\"{text}\""),
                    Spelling::Exact => write!(f, "=\"{text}\""),
                    Spelling::Prefix => write!(f, "{text}*"),
                }
            }
            Self::Author(name) => write!(f, "au:\"{name}\""),
            Self::Category(pattern) => write!(f, "cat:{pattern}"),
        }
    }
}

impl Scope {
    /// The field as a query writes it, with its colon; empty for title or abstract.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::TitleOrAbstract => "",
            Self::Title => "ti:",
            Self::Abstract => "abs:",
            Self::Comment => "co:",
            Self::JournalRef => "jr:",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TitleOrAbstract => "title or abstract",
            Self::Title => "the title",
            Self::Abstract => "the abstract",
            Self::Comment => "the comment",
            Self::JournalRef => "the journal reference",
        })
    }
}
