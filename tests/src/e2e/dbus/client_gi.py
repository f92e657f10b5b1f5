"""A client in Python over GDBus: its object manager follows devices by itself."""

from gi.repository import Gio, GLib

NAME = "io.mdevd1"
PATH = "/io/mdevd1/device/gi"
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
objects = Gio.DBusObjectManagerClient.new_sync(
    bus, Gio.DBusObjectManagerClientFlags.NONE, NAME, "/io/mdevd1", None, None, None
)
manager = objects.get_object("/io/mdevd1/Manager").get_interface("io.mdevd1.Manager")
context = GLib.MainContext.default()


def wait_for(what, look):
    late = []
    GLib.timeout_add_seconds(10, lambda: late.append(True))
    while not look():
        context.iteration(True)
        if late:
            raise SystemExit(f"no {what} in time")


options = GLib.Variant("(sa{sv})", ("gi", {"vlan": GLib.Variant("q", 7)}))
made = manager.call_sync("Create", options, Gio.DBusCallFlags.NONE, -1, None).unpack()[0]
assert made["result"] == "created", made
wait_for("object", lambda: objects.get_object(PATH) is not None)
device = objects.get_object(PATH).get_interface("io.mdevd1.Device")
assert device.get_cached_property("Vlan").unpack() == 7
assert device.get_cached_property("LinkUp").unpack() is True
down = GLib.Variant("(a{sv})", ({"link": GLib.Variant("s", "down")},))
device.call_sync("Set", down, Gio.DBusCallFlags.NONE, -1, None)
wait_for("changed property", lambda: device.get_cached_property("LinkUp").unpack() is False)
device.call_sync("Destroy", GLib.Variant("(a{sv})", ({},)), Gio.DBusCallFlags.NONE, -1, None)
wait_for("end of the object", lambda: objects.get_object(PATH) is None)
print("all well")
