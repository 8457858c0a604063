"""How a scene becomes a picture: a camera, a canvas of three sheets, painters, and a sensor."""
