//! The daemon as a library: engine, session, bus, store, configuration.
