//! The name of the machine, or of the container.

/// The host name that the operating system knows; what of it is no UTF-8 is replaced.
pub(crate) fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
