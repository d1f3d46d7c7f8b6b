//! A log type as a virtual table of SQLite: which objects a statement needs, and its rows one by one.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::vtab::{
    Context as Answer, CreateVTab, Filters, IndexConstraintOp, IndexInfo, VTab, VTabConnection,
    VTabCursor, VTabKind, sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error, Result};

use crate::QueryError;
use crate::archive::Object;
use crate::cells::{Rows, Wants};
use crate::choice::{Comparison, Condition, Operand, Plan, Subject, value_of};
use crate::columns::{Column, Columns, quoted};
use crate::scan::{Context, Group, Scan};

/// How often a statement may begin to read a table anew. A join without an index would do it for each row.
const SCANS_MAX: u32 = 64;
/// The bit of SQLite's mask that stands for all further columns.
const LAST_BIT: usize = 63;
/// Bits of a row's number that count within its object: 10^12 rows, and 8 million objects before them.
const ROW_BITS: u32 = 40;

/// Where the reason of a failure is left: SQLite carries only its text.
pub(crate) type Failure = Arc<Mutex<Option<QueryError>>>;

/// What a table is made of.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) objects: Arc<[Object]>,
    pub(crate) columns: Columns,
    /// It is the table of all log types.
    pub(crate) is_of_all: bool,
    pub(crate) context: Context,
    pub(crate) failure: Failure,
    /// Its objects are counted once.
    pub(crate) is_counted: AtomicBool,
}

/// Makes a table in SQLite; `number` tells it from the others.
pub(crate) fn create(connection: &Connection, number: usize, source: Source) -> Result<()> {
    let (module, name) = (format!("archive_{number}"), quoted(&source.name));
    connection.create_module(module.as_str(), MODULE, Some(Arc::new(source)))?;
    connection.execute_batch(&format!("CREATE VIRTUAL TABLE {name} USING {module}"))
}

const MODULE: &rusqlite::vtab::Module<'_, ArchiveTable> =
    &rusqlite::vtab::Module::read_only_module();

/// A virtual table.
#[repr(C)]
struct ArchiveTable {
    base: sqlite3_vtab,
    source: Arc<Source>,
}

#[expect(
    unsafe_code,
    reason = "SQLite's tables are C structures: `repr(C)`, and the base stands first, as rusqlite asks"
)]
unsafe impl<'vtab> VTab<'vtab> for ArchiveTable {
    type Aux = Arc<Source>;
    type Cursor = ArchiveCursor<'vtab>;

    fn connect(
        _: &mut VTabConnection,
        source: Option<&Arc<Source>>,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        let source = source.ok_or_else(|| Error::ModuleError("a table of nothing".to_owned()))?;
        let declaration = CString::new(source.columns.declaration(source.is_of_all))?;
        let table = Self { base: sqlite3_vtab::default(), source: Arc::clone(source) };
        Ok((Cow::Owned(declaration), table))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        let mut plan = Plan { used: info.col_used(), conditions: Vec::new() };
        let mut taken = Vec::new();
        for (place, constraint) in info.constraints().enumerate() {
            let Ok(column) = usize::try_from(constraint.column()) else { continue };
            let comparison = match constraint.operator() {
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ => Comparison::Equal,
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LT => Comparison::Less,
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LE => Comparison::LessOrEqual,
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GT => Comparison::Greater,
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GE => Comparison::GreaterOrEqual,
                _ => continue,
            };
            let is_known = self.source.columns.subject(column).is_some();
            // Another collation may take two texts for equal that differ.
            if constraint.is_usable() && is_known && info.collation(place)? == "BINARY" {
                taken.push((place, column, comparison));
            }
        }
        for (place, column, mut comparison) in taken {
            // All values of a list at once: otherwise the table is read once for each.
            if comparison == Comparison::Equal && info.is_in_constraint(place)? {
                info.set_in_constraint(place, true)?;
                comparison = Comparison::In;
            }
            plan.conditions.push((column, comparison));
            let argument = c_int::try_from(plan.conditions.len()).unwrap_or(c_int::MAX);
            info.constraint_usage(place).set_argv_index(argument);
        }
        let bytes: u64 = self.source.objects.iter().map(|object| object.bytes).sum();
        let share = 0.1f64.powi(i32::try_from(plan.conditions.len()).unwrap_or(i32::MAX).min(3));
        info.set_estimated_cost((bytes as f64 + 1.0) * share);
        info.set_estimated_rows((bytes as f64 * share / 50.0) as i64 + 1);
        info.set_idx_str(&plan.to_string());
        Ok(true)
    }

    fn open(&'vtab mut self) -> Result<ArchiveCursor<'vtab>> {
        let source = Arc::clone(&self.source);
        if !source.is_counted.swap(true, Ordering::Relaxed) {
            source.context.progress.listed(source.objects.len() as u64);
        }
        Ok(ArchiveCursor {
            base: sqlite3_vtab_cursor::default(),
            source,
            scan: None,
            scans: 0,
            slots: Vec::new(),
            object: 0,
            rows: Rows::default(),
            row: 0,
            before: 0,
            ended: true,
            table: PhantomData,
        })
    }
}

impl CreateVTab<'_> for ArchiveTable {
    const KIND: VTabKind = VTabKind::Default;
}

/// Where the value of a column comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Slot {
    /// The statement does not ask for it.
    Unused,
    /// A place in the rows.
    Cell(usize),
    /// The key of the object.
    Key(Subject),
}

/// A pass over a table.
#[repr(C)]
struct ArchiveCursor<'vtab> {
    base: sqlite3_vtab_cursor,
    source: Arc<Source>,
    scan: Option<Scan>,
    scans: u32,
    slots: Vec<Slot>,
    object: usize,
    rows: Rows,
    row: usize,
    /// How many rows of the object came before those in `rows`.
    before: u64,
    ended: bool,
    table: PhantomData<&'vtab ArchiveTable>,
}

impl ArchiveCursor<'_> {
    /// Leaves the reason where the statement's runner finds it.
    fn failed(&self, error: QueryError) -> Error {
        let text = error.to_string();
        *self.source.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Error::ModuleError(text)
    }

    fn conditions(&self, plan: &Plan, arguments: &Filters<'_>) -> Result<Vec<Condition>> {
        let mut conditions = Vec::new();
        for (place, &(column, comparison)) in plan.conditions.iter().enumerate() {
            let Some(subject) = self.source.columns.subject(column) else { continue };
            let operands = match comparison {
                Comparison::In => {
                    let values = arguments.in_values(place)?;
                    values.map(|value| Ok(Operand::of(value, &subject))).collect()?
                }
                _ => arguments
                    .iter()
                    .nth(place)
                    .map(|value| Operand::of(value, &subject))
                    .into_iter()
                    .collect(),
            };
            conditions.push(Condition { subject, comparison, operands });
        }
        Ok(conditions)
    }

    /// What is read of each row, and where each column finds its part.
    fn wants(&self, used: u64) -> (Wants, Vec<Slot>) {
        let columns = &self.source.columns;
        let is_used = |place: usize| used >> place.min(LAST_BIT) & 1 == 1;
        let mut wants = Wants::default();
        let mut slots = vec![Slot::Unused; columns.len()];
        for place in (0..columns.len()).filter(|&place| is_used(place)) {
            match columns.get(place) {
                Some(Column::Field(name)) => {
                    slots[place] = Slot::Cell(wants.fields.len());
                    wants.fields.push(name.clone());
                }
                Some(Column::Key(subject)) => slots[place] = Slot::Key(subject.clone()),
                Some(Column::Record) => wants.record = true,
                None => {}
            }
        }
        if wants.record {
            let is_record = |place: &usize| columns.get(*place) == Some(&Column::Record);
            for place in (0..columns.len()).filter(is_record) {
                slots[place] = Slot::Cell(wants.fields.len());
            }
        }
        (wants, slots)
    }
}

#[expect(
    unsafe_code,
    reason = "SQLite's cursors are C structures: `repr(C)`, and the base stands first, as rusqlite asks"
)]
unsafe impl VTabCursor for ArchiveCursor<'_> {
    fn filter(&mut self, _: c_int, plan: Option<&str>, arguments: &Filters<'_>) -> Result<()> {
        let plan: Plan = plan.and_then(|plan| plan.parse().ok()).unwrap_or_default();
        let conditions = self.conditions(&plan, arguments)?;
        let objects = &self.source.objects;
        let may_hold =
            |object: &Object| conditions.iter().all(|condition| condition.may_hold(object));
        let chosen: Vec<usize> =
            (0..objects.len()).filter(|&place| may_hold(&objects[place])).collect();
        let bytes = chosen.iter().map(|&place| objects[place].bytes).sum();
        self.scan = None;
        if !chosen.is_empty() {
            self.scans += 1;
            if self.scans > SCANS_MAX {
                return Err(self.failed(QueryError::ReadAgain { table: self.source.name.clone() }));
            }
        }
        let context = &self.source.context;
        context.progress.chosen(chosen.len() as u64, bytes);
        let (wants, slots) = self.wants(plan.used);
        let scan = Scan::start(context, Arc::clone(objects), chosen, wants);
        self.scan =
            Some(scan.map_err(|error| {
                Error::ModuleError(format!("no threads to read with: {error}"))
            })?);
        (self.slots, self.rows, self.row, self.ended) = (slots, Rows::default(), 0, false);
        self.next()
    }

    fn next(&mut self) -> Result<()> {
        self.row += 1;
        if self.row < self.rows.count {
            return Ok(());
        }
        loop {
            let Some(scan) = &mut self.scan else {
                self.ended = true;
                return Ok(());
            };
            match scan.next() {
                Ok(Some(Group { object, before, rows })) if rows.count > 0 => {
                    (self.object, self.before, self.rows, self.row) = (object, before, rows, 0);
                    return Ok(());
                }
                Ok(Some(_)) => {}
                Ok(None) => self.scan = None,
                Err(error) => {
                    self.scan = None;
                    return Err(self.failed(error));
                }
            }
        }
    }

    fn eof(&self) -> bool {
        self.ended
    }

    fn column(&self, answer: &mut Answer, column: c_int) -> Result<()> {
        let slot = usize::try_from(column).ok().and_then(|column| self.slots.get(column));
        let value = match slot {
            None | Some(Slot::Unused) => ValueRef::Null,
            Some(Slot::Cell(place)) => self.rows.value(self.row, *place),
            Some(Slot::Key(subject)) => {
                let object = self.source.objects.get(self.object);
                object.and_then(|object| value_of(subject, object)).into()
            }
        };
        answer.set_result(&ToSqlOutput::Borrowed(value))
    }

    /// The same for a row in every pass, whichever objects it reads and in whatever order they come: SQLite tells by it
    /// which rows an `or` or an outer join has had already.
    fn rowid(&self) -> Result<i64> {
        let number = (self.object as u64) << ROW_BITS | (self.before + self.row as u64);
        Ok(number.cast_signed())
    }
}
