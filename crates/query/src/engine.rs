//! A statement run over an archive: by SQLite, which may read the archive's tables and do nothing else.

use std::fmt;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, ErrorCode, InterruptHandle, Row};

use crate::QueryError;
use crate::archive::{ALL, Archive, Object, names_all};
use crate::columns::Columns;
use crate::progress::Progress;
use crate::scan::Context;
use crate::table::{self, Failure, Source};

/// The longest value that a statement may make, in bytes.
const VALUE_BYTES_MAX: i32 = 128 << 20;
/// Bytes that SQLite may have at a time. Sorting and grouping go to temporary files long before.
const HEAP_BYTES_MAX: u64 = 512 << 20;
/// Of it, in KiB, pages of temporary tables and of sorting.
const CACHE_KIB: u32 = 32 << 10;

/// How a query is done.
#[derive(Clone)]
pub struct Options {
    /// Damaged lines and objects are told and passed over; otherwise they end the query.
    pub skip_damaged: bool,
    /// The field of the records' time, in whose conditions objects are chosen by their dates; none where they are not.
    pub time_field: String,
    /// Told of what is passed over, from any thread.
    pub tell: Arc<dyn Fn(&QueryError) + Send + Sync>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { skip_damaged, time_field, .. } = self;
        write!(f, "Options {{ skip_damaged: {skip_damaged}, time_field: {time_field:?} }}")
    }
}

/// A value of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'r> {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating-point number; never NaN.
    Real(f64),
    /// A text.
    Text(&'r str),
    /// Bytes that are no text.
    Blob(&'r [u8]),
}

/// Whether more rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// They are.
    More,
    /// They are not: the query ends here, well.
    Enough,
}

/// Where the answer goes.
pub trait Sink {
    /// The names of the columns, before the first row.
    ///
    /// # Errors
    /// They cannot be written.
    fn columns(&mut self, names: &[String]) -> io::Result<()>;

    /// A row.
    ///
    /// # Errors
    /// It cannot be written.
    fn row(&mut self, values: &[Value<'_>]) -> io::Result<Flow>;
}

/// An archive in which statements can be run.
pub struct Engine {
    connection: Connection,
    progress: Arc<Progress>,
    failure: Failure,
    denied: Arc<Mutex<Option<&'static str>>>,
}

/// Ends a statement that runs, from another thread.
pub struct Interrupter {
    handle: InterruptHandle,
    progress: Arc<Progress>,
}

impl Interrupter {
    /// Ends it as soon as possible.
    pub fn interrupt(&self) {
        self.progress.stop();
        self.handle.interrupt();
    }
}

impl Engine {
    /// Makes tables of those log types that `statement` may name, after a look into some objects of each.
    ///
    /// # Errors
    /// The objects cannot be fetched.
    pub fn open(archive: &Archive, statement: &str, options: Options) -> Result<Self, QueryError> {
        let connection = Connection::open_in_memory().map_err(sql)?;
        let (progress, failure) = (Arc::<Progress>::default(), Failure::default());
        let context = Context {
            store: archive.store().clone(),
            progress: Arc::clone(&progress),
            options: Arc::new(options),
        };
        let source = |name: &str, objects: Arc<[Object]>, columns, is_of_all| Source {
            name: name.to_owned(),
            objects,
            columns,
            is_of_all,
            context: context.clone(),
            failure: Arc::clone(&failure),
            is_counted: AtomicBool::new(false),
        };
        let statement = statement.to_lowercase();
        let is_named = |name: &str| statement.contains(&name.to_lowercase().replace('"', "\"\""));
        let mut tables = Vec::new();
        for table in archive.tables().iter().filter(|table| is_named(&table.name)) {
            let columns = Columns::sample(&context, &table.objects)?;
            tables.push(source(&table.name, Arc::clone(&table.objects), columns, false));
        }
        let has_all = archive.tables().iter().any(|table| table.name.eq_ignore_ascii_case(ALL));
        if names_all(&statement) && !has_all {
            let objects = archive.tables().iter().flat_map(|table| table.objects.iter().cloned());
            let objects: Arc<[Object]> = objects.collect();
            let columns = Columns::of_keys(&objects);
            tables.push(source(ALL, objects, columns, true));
        }
        for (number, source) in tables.into_iter().enumerate() {
            table::create(&connection, number, source).map_err(sql)?;
        }
        let denied = Arc::default();
        guard(&connection, &denied).map_err(sql)?;
        Ok(Self { connection, progress, failure, denied })
    }

    /// Its counts.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// What ends a statement that runs.
    pub fn interrupter(&self) -> Interrupter {
        let handle = self.connection.get_interrupt_handle();
        Interrupter { handle, progress: Arc::clone(&self.progress) }
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// Why there is no answer, or no whole one.
    pub fn run(&self, statement: &str, sink: &mut dyn Sink) -> Result<(), QueryError> {
        let mut prepared =
            self.connection.prepare(statement).map_err(|error| self.explained(error))?;
        // What gives no columns is no question, and is not begun.
        if prepared.column_count() == 0 || !prepared.readonly() {
            return Err(QueryError::Sql("the statement asks for nothing".to_owned()));
        }
        let names: Vec<String> = prepared.column_names().into_iter().map(str::to_owned).collect();
        sink.columns(&names)?;
        let mut rows = prepared.query([]).map_err(|error| self.explained(error))?;
        while let Some(row) = rows.next().map_err(|error| self.explained(error))? {
            let values: Result<Vec<_>, _> =
                (0..names.len()).map(|place| value(row, place)).collect();
            let values = values.map_err(|error| self.explained(error))?;
            if sink.row(&values)? == Flow::Enough {
                break;
            }
        }
        Ok(())
    }

    /// SQLite's error, or what is behind it.
    fn explained(&self, error: Error) -> QueryError {
        if let Some(failure) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return failure;
        }
        if let Some(what) = self.denied.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return QueryError::NotAllowed(what);
        }
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            return QueryError::Interrupted;
        }
        let text = said(error);
        if let Some(name) = text.strip_prefix("no such table: ") {
            return QueryError::NoTable { name: name.to_owned() };
        }
        let hint = if text.starts_with("no such column: ") {
            "; a field that few records have is reached by _record ->> '$.field'"
        } else if text.ends_with(": syntax error") {
            "; a name that is a word of SQL, or no plain word, stands in double quotes"
        } else {
            ""
        };
        QueryError::Sql(format!("{text}{hint}"))
    }
}

fn sql(error: Error) -> QueryError {
    QueryError::Sql(said(error))
}

fn said(error: Error) -> String {
    match error {
        Error::SqliteFailure(_, Some(text)) => text,
        Error::SqlInputError { msg, .. } => msg,
        Error::MultipleStatement => "a query is one statement".to_owned(),
        error => error.to_string(),
    }
}

fn value<'r>(row: &'r Row<'_>, place: usize) -> rusqlite::Result<Value<'r>> {
    Ok(match row.get_ref(place)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        // A function of SQLite can cut a character in two.
        ValueRef::Text(text) => std::str::from_utf8(text).map_or(Value::Blob(text), Value::Text),
        ValueRef::Blob(bytes) => Value::Blob(bytes),
    })
}

/// Bounds what a statement can take, and lets it do nothing but read.
fn guard(
    connection: &Connection,
    denied: &Arc<Mutex<Option<&'static str>>>,
) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "PRAGMA hard_heap_limit = {HEAP_BYTES_MAX}; PRAGMA main.cache_size = -{CACHE_KIB}; \
         PRAGMA temp.cache_size = -{CACHE_KIB}; PRAGMA trusted_schema = OFF"
    ))?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    let denied = Arc::clone(denied);
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        let Some(what) = refused(&context.action) else { return Authorization::Allow };
        *denied.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
        Authorization::Deny
    }))
}

/// What an action is called where it is not allowed.
fn refused(action: &AuthAction<'_>) -> Option<&'static str> {
    match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => None,
        AuthAction::Function { function_name } => {
            function_name.eq_ignore_ascii_case("load_extension").then_some("load_extension()")
        }
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => Some("ATTACH"),
        AuthAction::Pragma { .. } => Some("PRAGMA"),
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => Some("a transaction"),
        AuthAction::Insert { .. } | AuthAction::Update { .. } | AuthAction::Delete { .. } => {
            Some("changing a table")
        }
        _ => Some("changing the tables that there are"),
    }
}
