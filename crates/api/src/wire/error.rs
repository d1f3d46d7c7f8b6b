//! The error envelope: exception names, statuses, and the structure around the message.

use crate::wire::format::Format;
use crate::wire::output::{Encoder, Members, Structure};

/// Exceptions that the operations of this server answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum ErrorCode {
    AccessDenied,
    DryRunOperation,
    ExpiredIterator,
    ExpiredNextToken,
    IncompleteSignature,
    InternalFailure,
    InvalidArgument,
    InvalidSignature,
    LimitExceeded,
    MissingAuthenticationToken,
    ProvisionedThroughputExceeded,
    RequestEntityTooLarge,
    RequestTimeout,
    ResourceInUse,
    ResourceNotFound,
    Serialization,
    UnknownOperation,
    UnrecognizedClient,
    Validation,
}

impl ErrorCode {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::Validation as usize + 1;

    /// The name on the wire (`__type`), also a metric label.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDeniedException",
            Self::DryRunOperation => "DryRunOperationException",
            Self::ExpiredIterator => "ExpiredIteratorException",
            Self::ExpiredNextToken => "ExpiredNextTokenException",
            Self::IncompleteSignature => "IncompleteSignatureException",
            // Modelled as InternalFailureException; this is what the service sends.
            Self::InternalFailure => "InternalFailure",
            Self::InvalidArgument => "InvalidArgumentException",
            Self::InvalidSignature => "InvalidSignatureException",
            Self::LimitExceeded => "LimitExceededException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
            Self::RequestEntityTooLarge => "RequestEntityTooLargeException",
            Self::RequestTimeout => "RequestTimeoutException",
            Self::ResourceInUse => "ResourceInUseException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::Serialization => "SerializationException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::Validation => "ValidationException",
        }
    }

    /// The HTTP status that goes with it.
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::AccessDenied => 403,
            Self::InternalFailure => 500,
            Self::RequestEntityTooLarge => 413,
            Self::RequestTimeout => 408,
            Self::DryRunOperation
            | Self::ExpiredIterator
            | Self::ExpiredNextToken
            | Self::IncompleteSignature
            | Self::InvalidArgument
            | Self::InvalidSignature
            | Self::LimitExceeded
            | Self::MissingAuthenticationToken
            | Self::ProvisionedThroughputExceeded
            | Self::ResourceInUse
            | Self::ResourceNotFound
            | Self::Serialization
            | Self::UnknownOperation
            | Self::UnrecognizedClient
            | Self::Validation => 400,
        }
    }
}

/// An error as a client gets it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", code.name(), message.as_deref().unwrap_or("no message"))]
pub(crate) struct ApiError {
    /// The exception.
    pub(crate) code: ErrorCode,
    /// What went wrong; some errors of the service have none.
    pub(crate) message: Option<String>,
}

impl ApiError {
    /// An error with a message.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// An error that the service gives without a message.
    pub(crate) const fn bare(code: ErrorCode) -> Self {
        Self { code, message: None }
    }

    /// An argument that is well-formed and wrong.
    pub(crate) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    /// Something that is not there.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ResourceNotFound, message)
    }

    /// The body of the answer.
    pub(crate) fn body(&self, format: Format) -> Vec<u8> {
        format.encode(self)
    }
}

impl Structure for ApiError {
    fn write_members<E: Encoder>(&self, members: &mut Members<'_, E>) {
        members.member("__type", self.code.name());
        // The one exception whose member starts with a capital.
        let capital = self.code == ErrorCode::Serialization;
        members.member(if capital { "Message" } else { "message" }, &self.message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_errors_have_a_capital_message_and_others_do_not() {
        let error = ApiError::new(ErrorCode::Serialization, "a \"b\"");
        assert_eq!(
            error.body(Format::Json),
            br#"{"__type":"SerializationException","Message":"a \"b\""}"#
        );
        let error = ApiError::not_found("x");
        assert_eq!(
            error.body(Format::Json),
            br#"{"__type":"ResourceNotFoundException","message":"x"}"#
        );
        let error = ApiError::bare(ErrorCode::UnknownOperation);
        assert_eq!(error.body(Format::Json), br#"{"__type":"UnknownOperationException"}"#);
        assert_eq!(
            error.body(Format::Cbor),
            b"\xbf\x66__type\x78\x19UnknownOperationException\xff"
        );
    }
}
