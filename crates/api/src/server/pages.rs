//! Pages beside the API, such as `/metrics` and `/health`, given by whoever embeds the server.

use bytes::Bytes;

/// What a GET answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

/// The pages that there are.
pub trait Pages: Send + Sync + 'static {
    /// The page at `path`, such as `/health`. It must be at hand: nothing here may wait.
    fn get(&self, path: &str) -> Option<Page>;
}

/// No pages.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPages;

impl Pages for NoPages {
    fn get(&self, _: &str) -> Option<Page> {
        None
    }
}
