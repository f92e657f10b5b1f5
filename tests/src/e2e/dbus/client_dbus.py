"""A client in Python over libdbus: objects, change signals, errors by name."""

import socket

import dbus
import dbus.mainloop.glib
from gi.repository import GLib

dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SystemBus()
NAME = "io.mdevd1"
DEVICE = "io.mdevd1.Device"
root = dbus.Interface(bus.get_object(NAME, "/io/mdevd1"), "org.freedesktop.DBus.ObjectManager")
manager = dbus.Interface(bus.get_object(NAME, "/io/mdevd1/Manager"), "io.mdevd1.Manager")
seen = []


def note(kind):
    return lambda *args, path=None: seen.append((kind, path, args))


bus.add_signal_receiver(note("added"), "InterfacesAdded", bus_name=NAME, path_keyword="path")
bus.add_signal_receiver(note("removed"), "InterfacesRemoved", bus_name=NAME, path_keyword="path")
bus.add_signal_receiver(note("changed"), "PropertiesChanged", bus_name=NAME, path_keyword="path")
bus.add_signal_receiver(note("event"), "Event", bus_name=NAME, path_keyword="path")
loop = GLib.MainLoop()


def wait_for(what, look):
    """Runs the loop until `look` finds something in what was seen."""
    found = []

    def check():
        found.extend(item for item in seen if look(item))
        if found:
            loop.quit()
        return not found

    source = GLib.timeout_add(5, check)
    limit = GLib.timeout_add_seconds(10, loop.quit)
    loop.run()
    if not found:
        GLib.source_remove(source)
        raise SystemExit(f"no {what} in {seen}")
    GLib.source_remove(limit)
    return found[0]


def refused(call, name):
    try:
        call()
    except dbus.DBusException as error:
        assert error.get_dbus_name() == name, error
        return str(error)
    raise SystemExit(f"was not refused as {name}")


assert len(root.GetManagedObjects()) == 2
made = manager.Create("py-1", {"mtu": 9000, "queue_pairs": dbus.UInt16(2)})
assert made["result"] == "created", made
path = "/io/mdevd1/device/py_2d1"
objects = root.GetManagedObjects()
properties = objects[path][DEVICE]
assert properties["Mtu"] == 9000 and properties["QueuePairs"] == 2, properties
assert properties["State"] == "ready" and properties["Name"] == "py-1", properties
added = wait_for("InterfacesAdded", lambda item: item[0] == "added" and item[2][0] == path)
assert added[2][1][DEVICE]["Mac"] == properties["Mac"]

client = socket.socket(socket.AF_UNIX)
client.connect(str(properties["Socket"]))
wait_for(
    "State connected",
    lambda item: item[0] == "changed" and item[1] == path and item[2][1].get("State") == "connected",
)
why = refused(
    lambda: dbus.Interface(bus.get_object(NAME, path), DEVICE).Destroy({}), "io.mdevd1.Error.Busy"
)
assert "--force" in why, why
client.close()
wait_for("disconnected", lambda item: item[0] == "event" and item[2][0]["event"] == "disconnected")

refused(lambda: manager.Show("nobody", {}), "io.mdevd1.Error.NotFound")
refused(lambda: manager.Create("x", {"mtu": 1}), "io.mdevd1.Error.InvalidArgument")
refused(lambda: manager.Create("x", {"mut": 1500}), "io.mdevd1.Error.InvalidArgument")
dbus.Interface(bus.get_object(NAME, path), DEVICE).Destroy({})
wait_for("InterfacesRemoved", lambda item: item[0] == "removed" and item[2][0] == path)
assert path not in root.GetManagedObjects()
print("all well")
