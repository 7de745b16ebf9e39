//! Macros and groups in running text.

use std::ops::Range;

use super::super::pieces::Pieces;
use super::super::{DEPTH_MAX, Style, accents, math, runs_to_text, tables};
use super::{BARE_BYTES_MAX, Reader, read_prose};

impl Reader<'_, '_, '_, '_> {
    /// A macro whose name is a word.
    pub(super) fn named_macro(&mut self, name: &str, after: usize) {
        if let Some(text) = tables::text_symbol(name) {
            return self.convert(text, self.style, accents::skip_empty_group(self.scan, after, self.end));
        }
        if let Some(argument_at) = self.argument_at(after)
            && let Some(inside) = self.scan.group(argument_at, self.end)
            && self.depth < DEPTH_MAX
            && self.with_argument(name, inside)
        {
            return;
        }
        let stands_free = self.previous().is_none_or(|byte| {
            byte.is_ascii_whitespace() || byte.is_ascii_digit() || b"([,=+-/<>~|.)\"".contains(&byte)
        });
        if stands_free && (is_declaration(name) || matches!(name, "noindent" | "xspace" | "newline" | "par")) {
            let to = self.scan.skip_blanks(after, self.end);
            return self.convert("", self.style, accents::skip_empty_group(self.scan, to, self.end));
        }
        if stands_free && matches!(name, "quad" | "qquad" | "space") {
            return self.convert(" ", self.style, self.scan.skip_blanks(after, self.end));
        }
        if stands_free {
            let reach = self.end.min(self.at + BARE_BYTES_MAX);
            let range = self.at..self.scan.source.floor_char_boundary(reach);
            if let Some((pieces, to)) = math::bare(self.scan, range, self.style, self.depth) {
                return self.convert_runs(pieces, to);
            }
        }
        self.leave_with_arguments(after);
    }

    fn argument_at(&self, after: usize) -> Option<usize> {
        let at = self.scan.skip_blanks(after, self.end);
        (at < self.end && self.scan.byte(at) == Some(b'{')).then_some(at)
    }

    /// Converts a macro that is known together with its first argument; false when it is not.
    fn with_argument(&mut self, name: &str, inside: Range<usize>) -> bool {
        let to = inside.end + 1;
        match name {
            "emph" | "textit" | "textsl" => self.descend(inside, Style::Emphasis, to),
            "text" | "textbf" | "textrm" | "textsf" | "texttt" | "textsc" | "textup" | "textnormal" | "textmd"
            | "mbox" | "hbox" | "underline" | "uline" | "uuline" => self.descend(inside, self.style, to),
            "textsuperscript" | "textsubscript" => {
                let mut script = Pieces::new(self.scan.source);
                read_prose(self.scan, &mut script, inside, self.style, self.depth + 1);
                let style = if name == "textsubscript" {
                    Style::Subscript
                } else {
                    Style::Superscript
                };
                self.flush();
                math::push_script(self.out, style, self.style, &runs_to_text(script.runs()), self.at..to);
                self.at = to;
                self.plain_from = to;
            }
            "url" | "path" | "nolinkurl" => {
                self.flush();
                self.out.push(self.scan.slice(inside.clone()), self.style, inside);
                self.at = to;
                self.plain_from = to;
            }
            "href" => return self.link(inside),
            "textcolor" | "colorbox" => {
                let Some(text) = self.argument_at(to).and_then(|at| self.scan.group(at, self.end)) else {
                    return false;
                };
                let past = text.end + 1;
                self.descend(text, self.style, past);
            }
            "ion" => {
                let Some(charge) = self.argument_at(to).and_then(|at| self.scan.group(at, self.end)) else {
                    return false;
                };
                let past = charge.end + 1;
                self.descend(inside, self.style, to);
                self.out.push(" ", self.style, to..to);
                self.descend(charge, self.style, past);
            }
            "footnote" => {
                let from = inside.start;
                let end = inside.end;
                self.flush();
                self.out.push(" (", self.style, self.at..from);
                self.descend(inside, self.style, to);
                self.out.push(")", self.style, end..to);
            }
            "ensuremath" => {
                let Some(pieces) = math::formula(self.scan, inside, self.style, self.depth + 1) else {
                    return false;
                };
                self.convert_runs(pieces, to);
            }
            _ => return false,
        }
        true
    }

    /// `\href{address}{text}`: the text, and the address behind it in brackets unless it is the text.
    fn link(&mut self, address: Range<usize>) -> bool {
        let Some(text) = self
            .argument_at(address.end + 1)
            .and_then(|at| self.scan.group(at, self.end))
        else {
            return false;
        };
        let target = self.scan.slice(address).trim();
        let shown = self.scan.slice(text.clone());
        let bare_target = target
            .trim_start_matches("https://")
            .trim_start_matches("http://")
            .trim_end_matches('/');
        let to = text.end + 1;
        let end = text.end;
        self.descend(text, self.style, to);
        if !shown.contains(bare_target) {
            self.out.push(&format!(" ({target})"), self.style, end..to);
        }
        true
    }

    /// Leaves an unknown macro as it is, with the arguments that stand directly behind it.
    fn leave_with_arguments(&mut self, after: usize) {
        self.at = after;
        while self.at < self.end && self.scan.byte(self.at) == Some(b'{') {
            let Some(inside) = self.scan.group(self.at, self.end) else {
                break;
            };
            self.at = inside.end + 1;
        }
    }

    /// `{\em …}` and `{\"o}`: the braces belong to the macro. Other braces are text: `{1, 2, 3}`.
    pub(super) fn group(&mut self) {
        let Some(inside) = self.scan.group(self.at, self.end).filter(|_| self.depth < DEPTH_MAX) else {
            self.at += 1;
            return;
        };
        let to = inside.end + 1;
        if self.scan.byte(inside.start) != Some(b'\\') {
            self.at += 1;
            return;
        }
        let Some((name, after)) = self.scan.macro_name(inside.start, inside.end) else {
            self.at += 1;
            return;
        };
        if !self.only_letters && is_declaration(name) {
            let content = self.scan.skip_blanks(after, inside.end);
            let style = if matches!(name, "em" | "it" | "sl" | "itshape" | "slshape") {
                Style::Emphasis
            } else {
                self.style
            };
            return self.descend(content..inside.end, style, to);
        }
        let accent = accents::accented(self.scan, inside.start, inside.end).is_some()
            || accents::special_letter(self.scan, inside.start, inside.end).is_some();
        let text_macro = !self.only_letters && (name.starts_with("text") || name == "emph");
        if accent || text_macro {
            return self.descend(inside, self.style, to);
        }
        self.at += 1;
    }
}

/// A font or size that holds to the end of the group.
fn is_declaration(name: &str) -> bool {
    matches!(
        name,
        "em" | "it"
            | "sl"
            | "itshape"
            | "slshape"
            | "bf"
            | "rm"
            | "sf"
            | "tt"
            | "sc"
            | "bfseries"
            | "mdseries"
            | "rmfamily"
            | "sffamily"
            | "ttfamily"
            | "scshape"
            | "upshape"
            | "normalfont"
            | "tiny"
            | "scriptsize"
            | "footnotesize"
            | "small"
            | "normalsize"
            | "large"
            | "Large"
            | "LARGE"
            | "huge"
            | "boldmath"
    )
}
