//! Tokens of the next page, for queries that are written as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::kinesis::Kinesis;
use crate::wire::error::{ApiError, ErrorCode};
use crate::wire::token::{Token, TokenKind};

impl Kinesis {
    /// A token for the rest of a query.
    pub(crate) fn page_token(&self, kind: TokenKind, query: &impl Serialize) -> String {
        let content = serde_json::to_vec(query).expect("structures with text keys are JSON");
        self.tokens.seal(kind, self.streams.clock.now(), &content)
    }

    /// The query that a token goes on with.
    pub(crate) fn page_of<T: DeserializeOwned>(
        &self,
        kind: TokenKind,
        token: &str,
    ) -> Result<T, ApiError> {
        let invalid = || ApiError::invalid_argument("Invalid NextToken.");
        let token = Token::open(kind, token).ok_or_else(invalid)?;
        let query = serde_json::from_slice(&token.content).map_err(|_| invalid())?;
        match token.expiry("token", self.streams.clock.now()) {
            Some(expiry) => {
                Err(ApiError::new(ErrorCode::ExpiredNextToken, format!("NextToken {expiry}")))
            }
            None => Ok(query),
        }
    }
}
