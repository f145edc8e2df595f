// Three planes of the real image with its label map, drawn by NiiVue, which is loaded when it is first asked for.

import { getBytes, getJson } from "./api.js";
import { notify } from "./notices.js";
import { byId } from "./words.js";

let viewer = null;
let wanted = 0; // times that the planes were opened or closed: what the last one asked for counts
let filling = Promise.resolve(); // the viewer would mix volumes that it is given meanwhile

// Shows the image and label map of a scan, or goes back to the pictures. Gives the error if they cannot be shown.
export async function togglePlanes(detail, focus) {
  const box = byId("planes");
  if (!box.hidden) {
    closePlanes();
    return null;
  }
  wanted += 1;
  const mine = wanted;
  box.hidden = false;
  box.classList.add("waiting"); // the volumes of the scan before are still in it
  byId("figures").hidden = true;
  try {
    const [{ Niivue }, volumes, colours] = await Promise.all([import("./niivue/niivue.js"), ...download(detail, focus)]);
    const filled = filling.then(async () => {
      if (mine !== wanted) return;
      viewer ??= await begin(Niivue);
      await fillViewer(volumes, colours);
    });
    filling = filled.catch(() => {});
    await filled;
  } catch (error) {
    if (mine !== wanted) return null;
    closePlanes();
    notify(`The three planes cannot be shown: ${error.message}`, "planes");
    return error;
  }
  if (mine !== wanted) return null;
  box.classList.remove("waiting");
  document.body.dataset.planes = detail.key;
  byId("niivue").focus();
  return null;
}

export function closePlanes() {
  wanted += 1;
  if (document.activeElement === byId("niivue")) byId("scan-title").focus();
  byId("planes").hidden = true;
  byId("figures").hidden = false;
  delete document.body.dataset.planes;
}

async function begin(Niivue) {
  const made = new Niivue({ isRadiologicalConvention: true, show3Dcrosshair: true, logLevel: "silent", dragAndDropEnabled: false });
  await made.attachTo("niivue");
  made.setSliceType(made.sliceTypeMultiplanar);
  return made;
}

// Asks for the volumes and for the colours of the labels. The label map is the one that the scan was shown with.
function download(detail, focus) {
  const model = detail.models.find((each) => each.name === focus.model);
  const { name, label_map_key } = model ?? {};
  const volume = async (file, query, options) => ({ url: await getBytes(`/volume/${detail.key}/${file}?${query}`), name: file, ...options });
  const volumes = [volume(`${detail.contrasts[0]}.nii.gz`, "", { colormap: "gray" })];
  if (!model?.has_labels) return [Promise.all(volumes), null];
  volumes.push(volume("labels.nii.gz", new URLSearchParams({ model: name, label_map_key }), { opacity: 0.45 }));
  return [Promise.all(volumes), getJson(`/colours/${detail.key}?${new URLSearchParams({ model: name })}`)];
}

async function fillViewer(volumes, colours) {
  await viewer.loadVolumes(volumes);
  if (!colours) return;
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
