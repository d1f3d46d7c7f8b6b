//! Why a query ended without its whole answer.

/// What went wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The store could not be listed or an object could not be fetched.
    #[error("cannot {doing} {url}: {why}")]
    Unavailable {
        /// `list` or `read`.
        doing: &'static str,
        /// The object, or the archive.
        url: String,
        /// In the words of the store.
        why: String,
    },
    /// An object does not hold what its name says.
    #[error("{url}{}: {what}; --skip-damaged reads on without it", at_line(*line))]
    Damaged {
        /// The object.
        url: String,
        /// The line, from 1 on, where the object has lines.
        line: Option<u64>,
        /// What is wrong with it.
        what: String,
    },
    /// The statement names a table that the archive does not have.
    #[error("there is no log type {name} in the archive")]
    NoTable {
        /// The name.
        name: String,
    },
    /// The statement does something else than read.
    #[error("a query only reads the archive's tables; {0} is not allowed")]
    NotAllowed(&'static str),
    /// A table would be read once for every row of another one.
    #[error(
        "the query reads {table} again for each row that it is joined with: give the join a copy, as in \
         `with x as materialized (select … from {table}) select … join x on …`"
    )]
    ReadAgain {
        /// The table.
        table: String,
    },
    /// SQLite refuses the statement, or cannot carry it out.
    #[error("{0}")]
    Sql(String),
    /// Whoever asked does not want the answer any more.
    #[error("interrupted")]
    Interrupted,
    /// The rows could not be written where they should go.
    #[error("cannot write the rows: {what}")]
    Output {
        /// Of the system.
        kind: std::io::ErrorKind,
        /// In its words.
        what: String,
    },
}

fn at_line(line: Option<u64>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

impl From<std::io::Error> for QueryError {
    fn from(error: std::io::Error) -> Self {
        Self::Output { kind: error.kind(), what: error.to_string() }
    }
}
