// Three planes of the real image with its label map, drawn by NiiVue, which is loaded when it is first asked for.

import { getJson } from "./api.js";
import { notify } from "./notices.js";
import { byId } from "./words.js";

let viewer = null;

// Shows the image and label map of a scan, or goes back to the pictures. Gives whether the planes are shown.
export async function togglePlanes(detail, focus) {
  const box = byId("planes");
  if (!box.hidden) {
    closePlanes();
    return false;
  }
  box.hidden = false;
  byId("figures").hidden = true;
  delete document.body.dataset.planes;
  try {
    const { Niivue } = await import("./niivue/niivue.js");
    viewer ??= await begin(Niivue);
    await load(detail, focus);
    document.body.dataset.planes = detail.key;
  } catch (error) {
    closePlanes();
    notify(`The three planes cannot be shown: ${error.message}`, "planes");
  }
  byId("niivue").focus();
  return !box.hidden;
}

export function closePlanes() {
  if (document.activeElement === byId("niivue")) byId("scan-title").focus();
  byId("planes").hidden = true;
  byId("figures").hidden = false;
}

async function begin(Niivue) {
  const made = new Niivue({ isRadiologicalConvention: true, show3Dcrosshair: true, logLevel: "silent", dragAndDropEnabled: false });
  await made.attachTo("niivue");
  made.setSliceType(made.sliceTypeMultiplanar);
  return made;
}

async function load(detail, focus) {
  const values = new URLSearchParams({ model: focus.model });
  const volumes = [{ url: `/volume/${detail.key}/${detail.contrasts[0]}.nii.gz`, colormap: "gray" }];
  const model = detail.models.find((each) => each.name === focus.model);
  if (model?.has_labels) volumes.push({ url: `/volume/${detail.key}/labels.nii.gz?${values}`, name: "labels.nii.gz", opacity: 0.45 });
  await viewer.loadVolumes(volumes);
  if (volumes.length < 2) return;
  const colours = await getJson(`/colours/${detail.key}?${values}`);
  const map = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: ["background"] };
  for (const [name, [label, red, green, blue]] of Object.entries(colours)) {
    map.R.push(red);
    map.G.push(green);
    map.B.push(blue);
    map.A.push(255);
    map.I.push(label);
    map.labels.push(name);
  }
  viewer.volumes[1].setColormapLabel(map);
  viewer.updateGLVolume();
}
