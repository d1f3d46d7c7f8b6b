//! JSON text (RFC 8259) read in one pass: validated to its last byte, with spans of the values asked for, and never a tree.

mod number;
mod string;
mod strings;

use std::ops::Range;

pub use string::{Key, unescape};
pub use strings::strings;

/// How deep containers may nest. RFC 8259, section 9, lets a parser set one; the originals' parser stops at about 1,000.
pub const DEPTH_MAX: usize = 512;

/// The first thing that is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Offset in bytes.
    pub at: usize,
    /// What was expected there.
    pub what: &'static str,
}

/// The root value of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Without surrounding white space.
    pub span: Range<usize>,
    /// No line end stands between tokens.
    pub one_line: bool,
}

/// Validates `text`; `member` is called for each member of the root object and has to move the cursor past the value.
/// A root that is no object is validated, too, without a call.
///
/// # Errors
/// The first byte that cannot belong to a JSON text, or a nesting deeper than [`DEPTH_MAX`].
#[inline]
pub fn root<'t, F>(text: &'t [u8], member: F) -> Result<Root, Fault>
where
    F: FnMut(&mut Cursor<'t>, Key<'t>) -> Result<(), Fault>,
{
    let mut cursor = Cursor { text, at: 0, line_end_seen: false };
    cursor.skip_space();
    let start = cursor.at;
    cursor.line_end_seen = false;
    if cursor.peek() == Some(b'{') {
        cursor.object(member)?;
    } else {
        cursor.value()?;
    }
    let span = start..cursor.at;
    let one_line = !cursor.line_end_seen;
    cursor.skip_space();
    match cursor.peek() {
        None => Ok(Root { span, one_line }),
        Some(_) => Err(cursor.fault("end of text")),
    }
}

/// A place in a text, between two tokens.
#[derive(Debug)]
pub struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
    line_end_seen: bool,
}

impl<'t> Cursor<'t> {
    /// A cursor on the value at `span` of a text that is known to be valid.
    pub fn within(text: &'t [u8], span: Range<usize>) -> Self {
        Self { text: &text[..span.end], at: span.start, line_end_seen: false }
    }

    /// The whole text.
    #[inline]
    pub fn text(&self) -> &'t [u8] {
        self.text
    }

    /// Offset of the next byte.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next byte.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Passes an object; `member` is called with the cursor on the value of each member and has to pass it.
    ///
    /// # Errors
    /// The first byte that cannot belong to an object, or what `member` refuses.
    #[inline]
    pub fn object<F>(&mut self, mut member: F) -> Result<(), Fault>
    where
        F: FnMut(&mut Self, Key<'t>) -> Result<(), Fault>,
    {
        self.expect(b'{', "`{`")?;
        self.skip_space();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.key()?;
            member(self, key)?;
            self.skip_space();
            if self.take(b',') {
                self.skip_space();
            } else {
                return self.expect(b'}', "`,` or `}`");
            }
        }
    }

    /// Passes an array; `element` is called with the cursor on each element and has to pass it.
    ///
    /// # Errors
    /// The first byte that cannot belong to an array, or what `element` refuses.
    #[inline]
    pub fn array<F>(&mut self, mut element: F) -> Result<(), Fault>
    where
        F: FnMut(&mut Self) -> Result<(), Fault>,
    {
        self.expect(b'[', "`[`")?;
        self.skip_space();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            element(self)?;
            self.skip_space();
            if self.take(b',') {
                self.skip_space();
            } else {
                return self.expect(b']', "`,` or `]`");
            }
        }
    }

    /// Passes an array as if the arrays in it were not nested: `element` is called with the cursor on each element that
    /// is no array, at whatever depth, and has to pass it.
    ///
    /// # Errors
    /// What is no array, what `element` refuses, or arrays nested deeper than [`DEPTH_MAX`].
    #[inline]
    pub fn flattened<F>(&mut self, mut element: F) -> Result<(), Fault>
    where
        F: FnMut(&mut Self) -> Result<(), Fault>,
    {
        let mut open = 0;
        loop {
            let mut is_empty = false;
            if open == 0 || self.peek() == Some(b'[') {
                if open == DEPTH_MAX {
                    return Err(self.fault("less nesting"));
                }
                self.expect(b'[', "`[`")?;
                open += 1;
                self.skip_space();
                is_empty = self.peek() == Some(b']');
                if !is_empty {
                    continue;
                }
            } else {
                element(self)?;
            }
            // Behind an element, or in an array that has none.
            loop {
                self.skip_space();
                if !is_empty && self.take(b',') {
                    self.skip_space();
                    break;
                }
                self.expect(b']', "`,` or `]`")?;
                open -= 1;
                if open == 0 {
                    return Ok(());
                }
                is_empty = false;
            }
        }
    }

    /// Passes any value and says where it stands.
    ///
    /// # Errors
    /// The first byte that cannot belong to it.
    #[inline]
    pub fn value(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.string()?,
            Some(b'{' | b'[') => self.container()?,
            _ => self.number_or_literal()?,
        }
        Ok(start..self.at)
    }

    fn container(&mut self) -> Result<(), Fault> {
        let mut open = OpenContainers::default();
        loop {
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(bracket @ (b'{' | b'[')) => {
                    if !open.push(bracket == b'{') {
                        return Err(self.fault("less nesting"));
                    }
                    self.at += 1;
                    self.skip_space();
                    // The closing brackets stand two after the opening ones in ASCII.
                    if !self.take(bracket + 2) {
                        if bracket == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                    open.pop();
                }
                _ => self.number_or_literal()?,
            }
            if self.close_containers(&mut open)? {
                return Ok(());
            }
        }
    }

    /// Stands behind a value: closes what ends here, and goes to the next value, unless all is closed (`true`).
    #[inline]
    fn close_containers(&mut self, open: &mut OpenContainers) -> Result<bool, Fault> {
        while open.depth > 0 {
            self.skip_space();
            let in_object = open.innermost_is_object();
            if self.take(b',') {
                self.skip_space();
                if in_object {
                    self.key()?;
                }
                return Ok(false);
            }
            if in_object {
                self.expect(b'}', "`,` or `}`")?;
            } else {
                self.expect(b']', "`,` or `]`")?;
            }
            open.pop();
        }
        Ok(true)
    }

    #[inline(always)]
    fn key(&mut self) -> Result<Key<'t>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("a key in quotes"));
        }
        let start = self.at + 1;
        let (end, escaped) = string::end(self.text, start)?;
        self.at = end + 1;
        self.skip_space();
        self.expect(b':', "`:`")?;
        self.skip_space();
        Ok(Key::new(&self.text[start..end], start - 1, escaped))
    }

    #[inline]
    fn string(&mut self) -> Result<(), Fault> {
        let (end, _) = string::end(self.text, self.at + 1)?;
        self.at = end + 1;
        Ok(())
    }

    #[inline]
    fn number_or_literal(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => {
                self.at = number::end(self.text, self.at)?;
                Ok(())
            }
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => Err(self.fault("a value")),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.fault("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    #[inline]
    fn skip_space(&mut self) {
        // Compact text, which is nearly all there is, has none.
        if self.peek().is_none_or(|byte| byte > b' ') {
            return;
        }
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.peek() {
            self.line_end_seen |= matches!(byte, b'\n' | b'\r');
            self.at += 1;
        }
    }

    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    #[inline]
    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.take(byte) { Ok(()) } else { Err(self.fault(what)) }
    }

    #[cold]
    fn fault(&self, what: &'static str) -> Fault {
        Fault { at: self.at, what }
    }
}

/// The containers around a value, one bit each (set: object), so that foreign nesting costs neither heap nor stack.
#[derive(Debug, Default)]
struct OpenContainers {
    is_object: [u64; DEPTH_MAX / 64],
    depth: usize,
}

impl OpenContainers {
    #[inline]
    fn push(&mut self, is_object: bool) -> bool {
        let Some(word) = self.is_object.get_mut(self.depth / 64) else {
            return false;
        };
        let bit = 1 << (self.depth % 64);
        *word = if is_object { *word | bit } else { *word & !bit };
        self.depth += 1;
        true
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
    }

    #[inline]
    fn innermost_is_object(&self) -> bool {
        let index = self.depth - 1;
        self.is_object[index / 64] >> (index % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests;
