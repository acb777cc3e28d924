"""Recipes as Python dictionaries, spelled as in YAML."""

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from cvtrain.v1 import recipe_pb2


def spec_from_dict(spec: dict) -> recipe_pb2.ExperimentSpec:
    """Turns {'api': 'cvtrain/v1', 'recipe': {...}} into a message.

    Enum values are written as in YAML: lower case, without the prefix of the enum (`mode: max`).
    Raises json_format.ParseError, naming the field, for an unknown field or a wrong type. Rules
    beyond the schema are the coordinator's to check.
    """
    message = recipe_pb2.ExperimentSpec()
    json_format.ParseDict(_wire_enums(spec, message.DESCRIPTOR), message)
    return message


def _wire_enums(value, descriptor: Descriptor):
    if not isinstance(value, dict):
        return value
    out = {}
    for name, entry in value.items():
        field = descriptor.fields_by_name.get(name)
        out[name] = entry if field is None else _wire_field(entry, field)
    return out


def _wire_field(entry, field: FieldDescriptor):
    if isinstance(entry, list):
        return [_wire_field(item, field) for item in entry]
    if field.enum_type is not None and isinstance(entry, str):
        # SCREAMING_SNAKE of the enum's name is the prefix of its values.
        zero = field.enum_type.values_by_number[0].name
        return zero.removesuffix("UNSPECIFIED") + entry.upper()
    if field.message_type is not None:
        if field.message_type.GetOptions().map_entry:
            return entry
        return _wire_enums({} if entry is None else entry, field.message_type)
    return entry
