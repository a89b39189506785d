"""Optional parts of the study: overlays that a config file carries under `optional`, laid when `with` names them.

Needs: the config files, read. Makes: the order in which files and parts are laid over each other. A part comes
right after the file that it is in, so that every later file has its say over it. Of several parts of one name the
last takes the place of the others, and `false` takes it away.
"""


def optional_parts(files):
    """name -> (place of its file in ``files``, content)."""
    found = {}
    for place, (file, content) in enumerate(files):
        parts = content.get("optional", {})
        if not isinstance(parts, dict):
            refuse(("optional",), show(parts), "mapping", file=file)
        for name, part in parts.items():
            if not isinstance(part, dict) and part is not False:
                refuse(("optional", name), show(part), "a mapping, or false", file=file)
        found |= {name: (place, part) for name, part in parts.items()}
    return {name: said for name, said in found.items() if said[1] is not False}


def asked_parts(files, parts):
    """Those of ``parts`` that `with` names, in its order; the last file that says `with` decides."""
    asked = next((content["with"] for _, content in reversed(files) if "with" in content), [])
    names = [asked] if isinstance(asked, str) else asked
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        refuse(("with",), show(asked), "a name or a list of names")
    for name in names:
        if name not in parts:
            known = ", ".join(sorted(parts)) or "none, there is no optional part"
            refuse(("with",), f"{show(name)}, which is no optional part", known + source.nearest(name, parts))
    return {name: parts[name] for name in names}


def laid(files, parts):
    """(where from, content) of ``files`` and ``parts`` in the order in which they are laid over each other."""
    layers = []
    for place, (file, content) in enumerate(files):
        layers.append((file, content))
        layers += [(f"{file} (optional.{name})", part) for name, (at, part) in parts.items() if at == place]
    return layers
