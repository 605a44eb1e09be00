"""XML without its dangers: no document type, hence no entities, from outside or otherwise."""

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from radiolucent.errors import AnnotationError

__all__ = ["parse_xml"]


def parse_xml(content: bytes) -> Element:
    """Parse XML; a document type, and with it every entity of its own making, is refused before it takes effect.

    Raises:
        AnnotationError: malformed, with line and column, or with a document type.
    """
    tree = TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(*_: object) -> int:
        raise AnnotationError(
            "the XML declares a document type; entities could read other files or fill the memory. Remove the "
            "<!DOCTYPE …> part, which no annotation tool needs."
        )

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.StartElementHandler = lambda name, attributes: tree.start(name, attributes)
    parser.EndElementHandler = lambda name: tree.end(name)
    parser.CharacterDataHandler = lambda text: tree.data(text)
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise AnnotationError(f"no well-formed XML ({error})") from error
    return tree.close()
